#include "report/page.h"

#include "report/html.h"

static const il__page_colour colours[] = {
    {"bg", "#ffffff", "#12161a"},   {"soft", "#f3f5f7", "#1b2127"},
    {"ink", "#1a1f24", "#e7ebef"},  {"muted", "#56606a", "#a5b0bb"},
    {"line", "#d4dae0", "#38424c"}, {"a", "#0b5cad", "#79b8ff"},
    {"b", "#ad3f00", "#ff9f5a"},    {"c", "#0a6a4c", "#56cfa0"},
    {"d", "#7c3a8c", "#d7a1e6"},    {"tint", "#fdeee3", "#38230f"},
};
enum { COLOURS = sizeof colours / sizeof colours[0] };

static const char style[] =
    "*{box-sizing:border-box}\n"
    "html{color-scheme:light dark;-webkit-text-size-adjust:100%}\n"
    "body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;"
    "color:var(--ink);background:var(--bg);margin:0}\n"
    "header.top,main,footer{max-width:1136px;margin:0 auto;padding:0 16px}\n"
    "header.top{padding-top:1.1rem}footer{padding-bottom:3rem}\n"
    "a{color:var(--a)}:focus-visible{outline:3px solid var(--a);outline-offset:2px}\n"
    ".skip{position:absolute;left:-99in}.skip:focus{left:8px;top:8px;padding:.5rem 1rem;"
    "background:var(--bg);z-index:9}\n"
    "h1{font-size:1.35rem;line-height:1.25;margin:0;overflow-wrap:anywhere}"
    "h2{font-size:1.3rem;margin:2.6rem 0 .4rem;padding-top:.8rem;"
    "border-top:2px solid var(--ink)}"
    "h3{font-size:1rem;margin:1.3rem 0 .3rem}h4{font-size:.9rem;margin:1rem 0 .3rem}\n"
    "p{margin:.35rem 0;max-width:46rem}.facts,.hint{color:var(--muted);"
    "font-size:.85rem}nav a{margin-right:1rem;display:inline-block;padding:.25rem 0}\n"
    ".lead{font-size:1.22rem;line-height:1.4;max-width:none;margin:.9rem 0 .6rem}\n"
    ".pill{display:inline-block;border:2px solid;border-radius:1em;padding:0 .6em;"
    "font-weight:700;font-size:.85em;white-space:nowrap}"
    ".good{color:var(--c)}.bad{color:var(--b)}.unsure{color:var(--muted)}\n"
    ".pill.bad{background:var(--b);border-color:var(--b);color:var(--bg)}"
    ".pill.unsure{border-style:dashed}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,350px),"
    "1fr));gap:0 28px}.cards>*{min-width:0}.cards h3{margin-top:.9rem}"
    ".across{grid-column:1/-1}\n"
    "figure{margin:0 0 1.2rem}figcaption{color:var(--muted);font-size:.82rem;"
    "max-width:60rem}.keys span{margin-right:.8rem;white-space:nowrap}"
    "#verdict figure{margin-bottom:.6rem}\n"
    ".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,"
    "340px),1fr));gap:10px 24px;margin:.2rem 0 .4rem}.panels.small{"
    "grid-template-columns:repeat(auto-fill,minmax(min(100%,165px),1fr));gap:10px 16px}"
    "svg.panel{width:100%;max-width:400px;height:auto;overflow:visible}"
    ".small svg.panel{max-width:200px}\n"
    "svg.key{vertical-align:-2px}\n"
    "svg text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;"
    "fill:var(--muted)}svg .name{font-weight:700;font-size:12px;fill:var(--ink)}"
    "svg .row{fill:var(--ink)}\n"
    "svg path{fill:var(--h);stroke:var(--bg);stroke-width:.6}svg .o{fill:none;"
    "stroke:var(--h);stroke-width:1.6}svg .grid{stroke:var(--line);stroke-width:1;"
    "fill:none}svg .span{stroke-width:2.4;opacity:.55}"
    "svg .cloud{stroke-width:1;opacity:.6}svg .dot{stroke-width:4.4;"
    "stroke-linecap:round}"
    "svg .d1{stroke-dasharray:5 3}svg .d2{stroke-dasharray:1.5 3}"
    "svg .a{--h:var(--a)}svg .b{--h:var(--b)}svg .c{--h:var(--c)}svg .d{--h:var(--d)}"
    "svg .i{--h:var(--ink)}svg .k{--h:var(--muted)}\n"
    ".wide{overflow-x:auto;margin:.3rem 0}table{border-collapse:collapse;"
    "font-size:.84rem}caption{text-align:left;color:var(--muted);padding:.2rem 0}"
    "th,td{padding:.28rem .55rem;border-bottom:1px solid var(--line);"
    "vertical-align:top;text-align:right;font-variant-numeric:tabular-nums}"
    "thead th{border-bottom:2px solid var(--line);font-weight:600;white-space:nowrap}"
    "tbody th{text-align:left;font-weight:600;white-space:nowrap;position:sticky;left:0;"
    "background:var(--bg)}tr.base th{background:var(--soft)}"
    ".words,table .words{text-align:left}.none{color:var(--muted)}"
    "tr.first>*{border-top:1px solid var(--muted)}tr.base{background:var(--soft)}\n"
    "small{display:block;color:var(--muted);font-size:.92em;font-weight:400;"
    "white-space:nowrap}\n"
    ".channels td,.channels thead th{text-align:center}"
    ".channels .words,.channels tbody th{text-align:left}"
    ".channels th:first-child{text-align:left}.channels .path{min-width:19rem}"
    "td.open{color:var(--b);font-weight:700;background:var(--tint)}"
    "td.closed{color:var(--c)}td.moves{color:var(--a);font-weight:700}"
    ".openword,.lowered{color:var(--b)}.closedword{color:var(--c)}\n"
    "dl.list{display:grid;grid-template-columns:auto 1fr;gap:.15rem 1rem;margin:.3rem 0;"
    "font-size:.9rem}dl.list dt{color:var(--muted)}dl.list dd{margin:0;min-width:0;"
    "overflow-wrap:anywhere}\n"
    "pre.said{white-space:pre-wrap;overflow-wrap:anywhere;margin:.9rem 0 .2rem;"
    "padding:.3rem .6rem;background:var(--soft);font-size:.82rem;max-width:46rem}"
    "dl.answers{grid-template-columns:fit-content(22rem) 1fr}"
    "code.said{white-space:pre-wrap}.label{border:1px solid var(--line);"
    "border-radius:1em;padding:0 .5em;font-size:.78rem;color:var(--muted);"
    "white-space:nowrap}\n"
    "ul{margin:.3rem 0;padding-left:1.2rem}.verdicts{list-style:none;padding:0}"
    ".verdicts li{padding:.3rem 0;border-bottom:1px solid var(--line)}"
    ".chips{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.35rem 1.4rem}\n"
    "details{border-bottom:1px solid var(--line)}summary{cursor:pointer;font-weight:600;"
    "padding:.4rem 0}code{font-size:.86em;overflow-wrap:anywhere}\n"
    ".warning{border-left:4px solid var(--b);background:var(--tint);padding:.3rem .8rem;"
    "max-width:none}\n"
    ".missing{border-left:4px solid var(--line);padding:.3rem .8rem;"
    "color:var(--muted)}.hush{position:absolute;width:1px;height:1px;overflow:hidden;"
    "clip-path:inset(50%);white-space:nowrap}\n"
    "@media (max-width:560px){dl.list,dl.answers{grid-template-columns:1fr;gap:0}"
    "tbody th{white-space:normal;overflow-wrap:anywhere;min-width:6rem}"
    "dl.list dd{margin-bottom:.4rem}.lead{font-size:1.1rem}th,td{padding:.25rem .4rem}}\n"
    "@media print{details::details-content{content-visibility:visible;"
    "block-size:auto}nav,.skip,.csv{display:none}body{font-size:11px}"
    "header.top,main,footer{max-width:none;padding:0}.wide{overflow:visible}"
    "table{font-size:8px}th,td,thead th{padding:1px 3px;white-space:normal;"
    "position:static}small,.keys span{white-space:normal}.channels .path{min-width:0}"
    ".lead{font-size:15px}svg.panel,tr{"
    "break-inside:avoid}h2,h3,h4{break-after:avoid}.pill,.lead{"
    "print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

const il__page_colour *il__page_colours(size_t *count)
{
    *count = COLOURS;
    return colours;
}

static void add_colours(il_text *html, const char *before, bool dark, const char *after)
{
    il_text_add(html, before);
    for (size_t i = 0; i < COLOURS; i++) {
        il_text_addf(html, "--%s:%s;", colours[i].name,
                     dark ? colours[i].dark : colours[i].light);
    }
    il_text_add(html, after);
}

void il__page_begin(il_text *html, const char *title, const char *facts,
                    const il__page_part *parts, size_t part_count)
{
    il_text_add(html,
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, "
                "initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    il__html_text(html, title);
    il_text_add(html, " &middot; Interloop</title>\n<style>\n");
    add_colours(html, ":root{", false, "}\n");
    /* Paper is white, whatever the screen was. */
    add_colours(html, "@media screen and (prefers-color-scheme:dark){:root{", true,
                "}}\n");
    il_text_add(html, style);
    il_text_add(html, "</style></head>\n<body><a class=\"skip\" href=\"#main\">Skip to "
                      "the content</a>\n<header class=\"top\"><h1>");
    il__html_text(html, title);
    il_text_add(html, "</h1>\n<p class=\"facts\">");
    il_text_add(html, facts != NULL ? facts : "");
    il_text_add(html, "</p>\n");
    for (size_t i = 0; i < part_count; i++) {
        il_text_addf(html, "%s<a href=\"#%s\">%s</a>%s",
                     i == 0 ? "<nav aria-label=\"Parts of this page\">" : "",
                     parts[i].id, parts[i].name, i + 1 == part_count ? "</nav>" : "");
    }
    il_text_add(html, "</header>\n<main id=\"main\" tabindex=\"-1\">\n");
}

void il__page_end(il_text *html)
{
    il_text_add(html, "</main></body></html>\n");
}
