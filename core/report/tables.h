/* The tables of a report: which metrics have a column, and the matrices of the plan. */
#ifndef IL_REPORT_TABLES_H
#define IL_REPORT_TABLES_H

#include "base/text.h"
#include "report/results.h"

/* The names of at most `room` behaviour metrics, those of no detector and no fresh
 * reader: `lie` first, then in the order in which the run wrote them. Returns how many.
 */
size_t il__behaviour_metrics(const il__results *r, const char **names, size_t room);

/* One column: a metric and its short head ("det" for the pressing detector's AUROC). */
typedef struct il__column {
    const char *metric;
    char head[24];
} il__column;

/* The columns for what this run measured, at most `room`: the pressing detector,
 * behaviour, fresh readers, drift cells, then the other detectors. Returns how many. */
size_t il__columns(const il__results *r, il__column *columns, size_t room);

/* HTML. Each adds nothing when there is nothing to show. */
void il__table_metrics(const il__results *r, il_text *html);
/* Every metric of every arm behind a click, and all of it by seed as CSV. */
void il__table_all(const il__results *r, il_text *html);
/* One number of an arm as a cell of such a table: the mean over its seeds, each seed
 * behind it, and intervals for whoever points at it. */
void il__table_cell(const il__result_arm *arm, const char *metric, il_text *html);
/* The four cells of every detector in every arm that has them: what is flagged of the
 * text of then and of now, read under the weights of then and of now. */
void il__table_cells(const il__results *r, il_text *html);
/* The class of every seed that an audit gave one, with what decides it. */
void il__table_outcome(const il__results *r, il_text *html);
/* What a row's last audit says of its outcome, with a class; NULL where it says none.
 */
const json_t *il__outcome_of(const il__result_row *row);
/* "obfuscated_policy" for people; NULL adds nothing. */
void il__class_text(il_text *html, const char *class);
/* Detectors from files whose contracts differ from what they are used for, as a list.
 */
void il__accepted(const il__results *r, il_text *html);
void il__table_channels(const il__results *r, il_text *html);
/* One arm's matrices: signals x groups, sources x readers with the paths that open. */
void il__table_plan(const json_t *plan, il_text *html);
void il__table_certificates(const il__results *r, il_text *html);

/* Belief by trigger: where detectors press through the reward with several shapes of
 * trigger or from several sources, the behaviours that are shares, in a cell for each
 * pair, from the first arm that has it. */
void il__table_triggers(const il__results *r, il_text *html);

/* Answers to the same prompts, side by side for all that was asked. */
void il__table_answers(const il__results *r, il_text *html);

/* Text padded to a width counted in characters, not bytes, without what a terminal
 * would obey. */
void il__text_padded(il_text *out, const char *text, size_t width, bool right);

/* Plain text, a line for each seed of each arm, and their mean where there are several.
 */
void il__table_text(const il__results *r, il_text *out);

#endif
