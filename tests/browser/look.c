/* Looks at pages as their readers would: at two widths, in the light and in the dark,
 * by the keyboard and on paper.
 *
 *   look BROWSER FOLDER [--shots FOLDER] ADDRESS...
 *
 * Prints "ok - name" or "not ok - name" for each check; the browser's profile goes into
 * FOLDER. Screenshots and the printed page go into the folder after --shots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "devtools.h"

static int failed;

static void check(bool ok, const char *page, const char *what, const json_t *why)
{
    printf("%sok - %s: %s\n", ok ? "" : "not ", page, what);
    if (!ok) {
        char *text = json_dumps(why, JSON_ENCODE_ANY | JSON_INDENT(1));

        printf("    %.1000s\n", text != NULL ? text : "no answer");
        free(text);
        failed = 1;
    }
}

/* Each gives a list of what is wrong, which should be empty. */
static const struct {
    const char *name, *script;
} looks[] = {
    {"figures have a size and something in them",
     "(() => { const bad = []; const all = document.querySelectorAll('svg.panel');"
     " if (all.length === 0) bad.push('no figure');"
     " for (const s of all) { const b = s.getBoundingClientRect();"
     "  const m = [...s.querySelectorAll('path:not(.grid)')].some(p => {"
     "   const r = p.getBoundingClientRect(); return r.width > 0 || r.height > 0; });"
     "  if (b.width < 100 || b.height < 40 || !m)"
     "   bad.push(s.querySelector('title').textContent); }"
     " return bad; })()"},
    {"nothing of a figure lies outside of it",
     "[...document.querySelectorAll('svg.panel')].filter(s => {"
     " const o = s.getBoundingClientRect(); return [...s.querySelectorAll('path,text')]"
     "  .some(e => { const b = e.getBoundingClientRect(); return b.width > 0 &&"
     "   (b.left < o.left - 12 || b.right > o.right + 12 || b.top < o.top - 6 ||"
     "    b.bottom > o.bottom + 6); }); })"
     ".map(s => s.querySelector('title').textContent)"},
    {"text in figures is not smaller than nine pixels",
     "[...document.querySelectorAll('svg.panel')].filter(s => {"
     " const v = s.viewBox.baseVal.width; return v > 0 &&"
     "  11 * s.getBoundingClientRect().width / v < 9; })"
     ".map(s => s.querySelector('title').textContent)"},
    {"the page is no wider than the screen",
     "document.documentElement.scrollWidth <= innerWidth ? [] :"
     " [...document.querySelectorAll('body *')].filter(e =>"
     "  e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.wide'))"
     " .slice(0, 5).map(e => e.outerHTML.slice(0, 200)).concat("
     " [document.documentElement.scrollWidth])"},
    {"links lead to something in the page, to data, or away",
     "[...document.querySelectorAll('a[href]')].filter(a => {"
     " const h = a.getAttribute('href');"
     " return h.startsWith('#') ? !document.getElementById(h.slice(1))"
     "  : !h.startsWith('data:text/csv') && !/^[a-z]+:\\/\\//.test(a.href); })"
     ".map(a => a.outerHTML.slice(0, 200))"},
    {"the data of figures are tables with as many cells in every line",
     "[...document.querySelectorAll('a[download]')].filter(a => {"
     " const text = decodeURIComponent(a.getAttribute('href').split(',').slice(1)"
     "  .join(','));"
     " const lines = text.trimEnd().split('\\n').map(l => l.match("
     "  /(\"([^\"]|\"\")*\"|[^,\"]*)(,|$)/g).filter((c, i, all) =>"
     "   c !== '' || i < all.length - 1).length);"
     " return lines.length < 2 || lines.some(n => n !== lines[0]); })"
     ".map(a => a.download)"},
    {"every figure has its data, and every figure and table head its words",
     "[...document.querySelectorAll('figure')].filter(f => !f.querySelector("
     "'a[download]')).map(f => f.id).concat("
     "[...document.querySelectorAll('th')].filter(t => !t.scope)"
     ".map(t => t.outerHTML.slice(0, 100)),"
     "[...document.querySelectorAll('svg.panel')].filter(s => !s.querySelector('title')"
     "?.textContent || !s.querySelector('desc')?.textContent)"
     ".map(s => s.outerHTML.slice(0, 200)))"},
    {"what scrolls can be reached by the keyboard",
     "[...document.querySelectorAll('body *')].filter(e =>"
     " e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 &&"
     " ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) &&"
     " e.tabIndex < 0).map(e => e.outerHTML.slice(0, 100))"},
    {"text stands out from its ground by 4.5 and more",
     "(() => { const part = s => s.match(/[\\d.]+/g).map(Number);"
     " const lum = c => { const f = c.slice(0, 3).map(v => { v /= 255;"
     "  return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });"
     "  return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };"
     " const ground = e => { for (; e; e = e.parentElement) {"
     "  const c = part(getComputedStyle(e).backgroundColor);"
     "  if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };"
     " const bad = new Set();"
     " const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);"
     " while (walk.nextNode()) { const e = walk.currentNode.parentElement;"
     "  if (!walk.currentNode.data.trim() || !e.getClientRects().length ||"
     "   e.closest('title,desc')) continue;"
     "  const s = getComputedStyle(e);"
     "  const a = lum(part(e.closest('svg') ? s.fill : s.color)) + .05;"
     "  const b = lum(ground(e)) + .05;"
     "  if (Math.max(a, b) / Math.min(a, b) < 4.5)"
     "   bad.add(e.outerHTML.slice(0, 120)); }"
     " return [...bad].slice(0, 5); })()"},
};

static void set_screen(devtools *d, int width, int height, bool dark)
{
    json_decref(devtools_call(d, "Emulation.setDeviceMetricsOverride",
                              json_pack("{s:i, s:i, s:i, s:b}", "width", width,
                                        "height", height, "deviceScaleFactor", 1,
                                        "mobile", width < 500)));
    json_decref(devtools_call(d, "Emulation.setEmulatedMedia",
                              json_pack("{s:[{s:s, s:s}]}", "features", "name",
                                        "prefers-color-scheme", "value",
                                        dark ? "dark" : "light")));
}

/* Keeps what the browser sends as base64 under "data". */
static void keep(const json_t *result, const char *folder, const char *name)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *text = json_string_value(json_object_get(result, "data"));
    char path[600];
    unsigned bits = 0;
    int count = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    file = text != NULL ? fopen(path, "wb") : NULL;
    for (; file != NULL && *text != '\0' && *text != '='; text++) {
        bits = bits << 6 | (unsigned)(strchr(digits, *text) - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            (void)fputc((int)(bits >> count & 0xFF), file);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void take_shot(devtools *d, const char *shots, size_t number, int width,
                      bool dark)
{
    char name[64];
    json_t *result = devtools_call(
        d, "Page.captureScreenshot",
        json_pack("{s:s, s:b}", "format", "png", "captureBeyondViewport", 1));

    (void)snprintf(name, sizeof name, "%zu-%d-%s.png", number, width,
                   dark ? "dark" : "light");
    keep(result, shots, name);
    json_decref(result);
}

/* Whether dark was asked for is what the page is. */
static void check_ground(devtools *d, const char *page, bool dark)
{
    json_t *ground = devtools_ask(
        d,
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)");
    double sum = 0;

    for (size_t i = 0; i < json_array_size(ground); i++) {
        sum += json_number_value(json_array_get(ground, i));
    }
    check(ground != NULL && (dark ? sum < 200 : sum > 600), page,
          dark ? "it is dark where that is asked for"
               : "it is light where that is asked for",
          ground);
    json_decref(ground);
}

static void press(devtools *d, const char *key, int code, const char *text)
{
    static const char *const types[] = {"keyDown", "keyUp"};

    for (int i = 0; i < 2; i++) {
        json_t *params = json_pack("{s:s, s:s, s:s, s:i}", "type", types[i], "key", key,
                                   "code", key, "windowsVirtualKeyCode", code);

        if (i == 0 && text != NULL) {
            (void)json_object_set_new(params, "text", json_string(text));
        }
        json_decref(devtools_call(d, "Input.dispatchKeyEvent", params));
    }
}

/* The first thing that the keyboard reaches leads past everything else; what opens,
 * opens by it. */
static void check_keys(devtools *d, const char *page)
{
    json_t *got;

    json_decref(devtools_ask(d, "document.activeElement.blur(); scrollTo(0, 0); 1"));
    press(d, "Tab", 9, NULL);
    got = devtools_ask(d, "const first = document.activeElement;"
                          "first.className === 'skip' &&"
                          " first.getBoundingClientRect().left >= 0");
    check(json_is_true(got), page, "the first key leads past the bar, and can be seen",
          got);
    json_decref(got);
    got = devtools_ask(d, "(() => { const s = document.querySelector('summary');"
                          " if (!s) return 'none'; s.focus();"
                          " return document.activeElement === s ? 'on' : 'off'; })()");
    if (json_is_string(got) && strcmp(json_string_value(got), "none") != 0) {
        press(d, "Enter", 13, "\r");
        json_decref(got);
        got = devtools_ask(d, "document.querySelector('details').open");
        check(json_is_true(got), page, "what opens, opens by the keyboard", got);
    }
    json_decref(got);
}

/* Everything that was logged, thrown or refused, and every request but for the page. */
static json_t *noises(const devtools *d, const char *address)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(d->events); i++) {
        const json_t *event = json_array_get(d->events, i);
        const char *name = json_string_value(json_object_get(event, "method"));
        const char *url = json_string_value(json_object_get(
            json_object_get(json_object_get(event, "params"), "request"), "url"));
        bool loud = strcmp(name, "Log.entryAdded") == 0 ||
                    strcmp(name, "Runtime.consoleAPICalled") == 0 ||
                    strcmp(name, "Runtime.exceptionThrown") == 0;
        bool asked = strcmp(name, "Network.requestWillBeSent") == 0 && url != NULL &&
                     strcmp(url, address) != 0 && strncmp(url, "data:", 5) != 0;

        if (loud || asked) {
            (void)json_array_append(list, (json_t *)event);
        }
    }
    return list;
}

/* A click on the first of the figures' links saves what it holds. */
static void check_saving(devtools *d, const char *page, const char *folder)
{
    bool came;
    json_t *box = devtools_ask(
        d, "(() => { const a = document.querySelector('a[download]');"
           " if (!a) return null; a.scrollIntoView({block: 'center'});"
           " const b = a.getClientRects()[0];"
           " return {x: b.left + b.width / 2, y: b.top + b.height / 2}; })()");
    static const char *const types[] = {"mousePressed", "mouseReleased"};

    json_decref(devtools_call(d, "Browser.setDownloadBehavior",
                              json_pack("{s:s, s:s, s:b}", "behavior", "allow",
                                        "downloadPath", folder, "eventsEnabled", 1)));
    for (int i = 0; json_is_object(box) && i < 2; i++) {
        json_decref(devtools_call(d, "Input.dispatchMouseEvent",
                                  json_pack("{s:s, s:O, s:O, s:s, s:i}", "type",
                                            types[i], "x", json_object_get(box, "x"),
                                            "y", json_object_get(box, "y"), "button",
                                            "left", "clickCount", 1)));
    }
    came = json_is_object(box) && devtools_wait(d, "Browser.downloadWillBegin");
    check(came, page, "a click on a figure's link saves its data", box);
    json_decref(box);
}

static void look(devtools *d, const char *address, size_t number, const char *folder,
                 const char *shots)
{
    static const int widths[] = {1280, 390};
    char page[64];
    json_t *list;
    json_t *paper;

    (void)snprintf(page, sizeof page, "%s", address);
    if (strlen(address) > 40) {
        (void)snprintf(page, sizeof page, "…%s", address + strlen(address) - 40);
    }
    (void)json_array_clear(d->events);
    set_screen(d, 1280, 900, false);
    json_decref(devtools_call(d, "Page.navigate", json_pack("{s:s}", "url", address)));
    check(devtools_wait(d, "Page.loadEventFired"), page, "it loads", NULL);
    for (int w = 0; w < 2; w++) {
        for (int dark = 0; dark < 2; dark++) {
            char name[160];

            set_screen(d, widths[w], 900, dark);
            check_ground(d, page, dark);
            for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
                json_t *wrong = devtools_ask(d, looks[i].script);

                (void)snprintf(name, sizeof name, "%s (%d px, %s)", looks[i].name,
                               widths[w], dark ? "dark" : "light");
                check(json_is_array(wrong) && json_array_size(wrong) == 0, page, name,
                      wrong);
                json_decref(wrong);
            }
            if (shots != NULL) {
                take_shot(d, shots, number, widths[w], dark);
            }
        }
    }
    set_screen(d, 1280, 900, false);
    check_keys(d, page);
    check_saving(d, page, folder);
    paper =
        devtools_call(d, "Page.printToPDF", json_pack("{s:b}", "printBackground", 0));
    check(json_string_length(json_object_get(paper, "data")) > 10000, page, "it prints",
          NULL);
    if (shots != NULL) {
        char name[32];

        (void)snprintf(name, sizeof name, "%zu.pdf", number);
        keep(paper, shots, name);
    }
    json_decref(paper);
    list = noises(d, address);
    check(json_array_size(list) == 0, page,
          "the console is silent and nothing else is asked for", list);
    json_decref(list);
}

int main(int argc, char **argv)
{
    static const char *const domains[] = {"Page.enable", "Runtime.enable", "Log.enable",
                                          "Network.enable"};
    const char *shots = NULL;
    devtools d;
    int first = 3;

    if (argc > 5 && strcmp(argv[3], "--shots") == 0) {
        shots = argv[4];
        first = 5;
    }
    if (argc <= first) {
        fprintf(stderr, "usage: look BROWSER FOLDER [--shots FOLDER] ADDRESS...\n");
        return 2;
    }
    if (!devtools_open(&d, argv[1], argv[2])) {
        printf("not ok - the browser %s can be driven\n", argv[1]);
        devtools_close(&d);
        return 1;
    }
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        json_decref(devtools_call(&d, domains[i], NULL));
    }
    for (int i = first; i < argc; i++) {
        look(&d, argv[i], (size_t)(i - first + 1), argv[2], shots);
    }
    devtools_close(&d);
    return failed;
}
