/* gnuplot, run as a program of its own: a script in, the text of an SVG out. */
#ifndef IL_REPORT_GNUPLOT_H
#define IL_REPORT_GNUPLOT_H

#include "base/text.h"
#include "interloop/status.h"

/* Runs a script whose first lines, the terminal and the output, are set here, and adds
 * its picture of `width` x `height` pixels to `svg`, from <svg to </svg>. `name` makes
 * the ids inside unique on a page: letters and digits. IL_ERR_UNSUPPORTED when there is
 * no gnuplot or it fails, with its first words in the message; `svg` is then as it was.
 */
il_status il__gnuplot_draw(const char *name, int width, int height, const char *script,
                           il_text *svg, il_error *err);

/* A label for a script's quoted string: what could end or leave the string becomes '_'.
 */
void il__gnuplot_label(il_text *script, const char *label);

#endif
