/**
 * What the pages promise to their readers: commands and flags, configuration keys, metrics, events,
 * routes, pages. `surface.json` keeps what was ever promised, so that nothing goes unseen. Pure.
 */

/** Promises by kind, each list sorted. */
export type Surface = Record<string, string[]>;

const ROW = /^\| `([^`|]+)`/;

/** The first cell of each row of the page's tables. */
const cellsOf = (page: string): string[] =>
  page.split("\n").flatMap((line) => ROW.exec(line)?.[1] ?? []);

/** Keys below the heading of their table, as several tables have a key of one name. */
function keysOf(page: string): string[] {
  let heading = "";
  return page.split("\n").flatMap((line) => {
    heading = /^## (.+)$/.exec(line)?.[1] ?? heading;
    const key = ROW.exec(line)?.[1];
    return key === undefined ? [] : [`${heading}: ${key}`];
  });
}

/** `navarch list`, and `navarch list --pool` for each flag below it; the agent's flags stand alone. */
function commandsOf(page: string): string[] {
  let command = "";
  return page.split("\n").flatMap((line) => {
    const heading = /^##+ (.+)$/.exec(line)?.[1];
    if (heading !== undefined) command = heading.startsWith("navarch") ? heading : "";
    if (heading?.startsWith("navarch ")) return [heading];
    const flag = /^\| `(?:-\w, )?(--[a-z-]+)/.exec(line)?.[1];
    if (flag !== undefined) return [command === "" ? flag : `${command} ${flag}`];
    const plain = /^ {6}(--[a-z-]+)/.exec(line)?.[1];
    return plain === undefined ? [] : [`navarch-node ${plain}`];
  });
}

const routesOf = (page: string): string[] =>
  page.split("\n").flatMap((line) => {
    const [, method, path] = /^\| ([A-Z]+) \| `([^`]+)`/.exec(line) ?? [];
    return method === undefined ? [] : [`${method} ${path}`];
  });

const sorted = (list: readonly string[]): string[] => [...new Set(list)].sort();

/** `pages` are texts by path; `docs/` pages themselves are promised too. */
export function surfaceOf(pages: Readonly<Record<string, string>>): Surface {
  const of = (path: string): string => pages[path] ?? "";
  return {
    commands: sorted(commandsOf(of("docs/cli.md"))),
    events: sorted(cellsOf(of("docs/events.md"))),
    keys: sorted(keysOf(of("docs/configuration.md"))),
    metrics: sorted(cellsOf(of("docs/metrics.md"))),
    pages: sorted(Object.keys(pages)),
    routes: sorted(routesOf(of("docs/api.md"))),
  };
}
