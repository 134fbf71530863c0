#include "serve/page.h"

#include <stddef.h>
#include <string.h>

static const char html[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Runs</title>\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<link rel=\"stylesheet\" href=\"/page.css\">\n"
    "<script defer src=\"/page.js\"></script></head>\n"
    "<body><main><h1>Runs</h1>\n"
    "<p id=\"state\" role=\"status\">Reading the runs.</p>\n"
    "<noscript><p>This page keeps itself up to date with a script.\n"
    "<a href=\"/index.json\">The same as JSON</a>.</p></noscript>\n"
    "<div id=\"runs\"></div></main></body></html>\n";

static const char css[] =
    ":root { color-scheme: light dark; }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; }\n"
    "main { max-width: 60rem; margin: auto; }\n"
    "section { border-top: 1px solid GrayText; padding: .5rem 0; }\n"
    "h2 { font-size: 1.1rem; margin: .25rem 0; overflow-wrap: anywhere; }\n"
    "p { margin: .25rem 0; }\n"
    "ul { margin: .25rem 0; padding-left: 1.25rem; overflow-wrap: anywhere; }\n"
    "a { margin-right: .5rem; }\n"
    "summary { cursor: pointer; }\n";

/* Everything of a run goes in by textContent, and links are made of encoded names. */
static const char script[] =
    "'use strict';\n"
    "let tag = '';\n"
    "const open = new Set();\n"
    "function element(name, text) {\n"
    "  const e = document.createElement(name);\n"
    "  if (text !== undefined) e.textContent = text;\n"
    "  return e;\n"
    "}\n"
    "function links(into, path, files) {\n"
    "  for (const file of files) {\n"
    "    const a = element('a', file);\n"
    "    a.href = '/runs/' + (path + '/' + file).split('/').map(encodeURIComponent)\n"
    "      .join('/');\n"
    "    into.append(a, ' ');\n"
    "  }\n"
    "}\n"
    "function many(n, one, more) { return n + ' ' + (n === 1 ? one : more); }\n"
    "function show(name, run) {\n"
    "  const s = element('section');\n"
    "  const jobs = Object.keys(run.jobs);\n"
    "  const arms = new Set(jobs.map(j => j.replace(/\\/seed-[^/]*$/, '')));\n"
    "  const seeds = new Set(jobs.map(j => j.split('/').pop()));\n"
    "  const files = element('p');\n"
    "  s.append(element('h2', name));\n"
    "  s.append(element('p', (run.sweep ? 'sweep, ' : '') +\n"
    "    many(arms.size, 'arm', 'arms') + ', ' + many(seeds.size, 'seed', 'seeds') +\n"
    "    ', last change ' + new Date(run.changed).toLocaleString()));\n"
    "  links(files, name, run.files);\n"
    "  s.append(files);\n"
    "  if (jobs.length > 0) {\n"
    "    const d = element('details');\n"
    "    const list = element('ul');\n"
    "    d.open = open.has(name);\n"
    "    d.addEventListener('toggle',\n"
    "      () => d.open ? open.add(name) : open.delete(name));\n"
    "    d.append(element('summary', many(jobs.length, 'job', 'jobs')), list);\n"
    "    for (const job of jobs) {\n"
    "      const item = element('li', job + ' ');\n"
    "      links(item, name + '/' + job, run.jobs[job]);\n"
    "      list.append(item);\n"
    "    }\n"
    "    s.append(d);\n"
    "  }\n"
    "  return s;\n"
    "}\n"
    "function say(text) {\n"
    "  const state = document.getElementById('state');\n"
    "  if (state.textContent !== text) state.textContent = text;\n"
    "}\n"
    "let said = '';\n"
    "async function look() {\n"
    "  try {\n"
    "    const got = await fetch('/index.json',\n"
    "      {cache: 'no-store', headers: tag ? {'If-None-Match': tag} : {}});\n"
    "    if (got.status === 200) {\n"
    "      const index = await got.json();\n"
    "      const names = Object.keys(index.runs)\n"
    "        .sort((a, b) => index.runs[b].changed - index.runs[a].changed);\n"
    "      document.getElementById('runs')\n"
    "        .replaceChildren(...names.map(n => show(n, index.runs[n])));\n"
    "      said = many(names.length, 'run', 'runs') +\n"
    "        (index.whole ? '' : ', and more than this page lists');\n"
    "      tag = got.headers.get('ETag') || '';\n"
    "    } else if (got.status !== 304) {\n"
    "      throw new Error(got.status);\n"
    "    }\n"
    "    say(said);\n"
    "  } catch (e) {\n"
    "    say('The server does not answer; what is below may be old.');\n"
    "  }\n"
    "  setTimeout(look, 2000);\n"
    "}\n"
    "look();\n";

static const il_page pages[] = {
    {"/", "text/html; charset=utf-8", html},
    {"/page.css", "text/css; charset=utf-8", css},
    {"/page.js", "text/javascript; charset=utf-8", script},
};

const il_page *il_page_find(const char *path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strcmp(path, pages[i].path) == 0) {
            return &pages[i];
        }
    }
    return NULL;
}
