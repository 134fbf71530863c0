/* The verbs of the command, one file each. argv[0] is the verb; each returns the
 * exit code: 0 done, 1 failed, 2 wrong input. */
#ifndef IL_TOOLS_VERBS_H
#define IL_TOOLS_VERBS_H

int il_verb_run(int argc, char **argv);
int il_verb_explain(int argc, char **argv);
int il_verb_certify(int argc, char **argv);
int il_verb_config(int argc, char **argv);
int il_verb_bundle(int argc, char **argv);
int il_verb_compare(int argc, char **argv);
int il_verb_conclude(int argc, char **argv);
int il_verb_sweep(int argc, char **argv);
int il_verb_gc(int argc, char **argv);
int il_verb_plugin(int argc, char **argv);
int il_verb_rollout(int argc, char **argv);
int il_verb_report(int argc, char **argv);
int il_verb_detector(int argc, char **argv);
int il_verb_model(int argc, char **argv);
int il_verb_serve(int argc, char **argv);
int il_verb_watch(int argc, char **argv);
int il_verb_activations(int argc, char **argv);
int il_verb_tokenize(int argc, char **argv);
int il_verb_version(int argc, char **argv);

#endif
