/**
 * `--watch`: repeats a command that shows something. A terminal shows the newest answer in place of
 * the last one; a pipe gets the first answer and then each new line or JSON item. It ends on an
 * interrupt or a permanent error, and keeps trying while the control plane is unreachable.
 */
import type { Context } from "./command.ts";
import type { Failure } from "./failure.ts";
import type { Flag } from "./flag.ts";
import { openPace } from "./pace.ts";
import { humanText, isForMachines, show, type Shown } from "./show.ts";
import { plain } from "./table.ts";
import { cutMiddle } from "./wrap.ts";

/** `run.ts` recognises a command that can be watched by this object. */
export const WATCH_FLAG: Flag = {
  name: "watch",
  short: "w",
  kind: "switch",
  help: "refresh the output until Ctrl-C",
};

const EVERY_MS = 2_000;

export async function watch(
  context: Context,
  round: (context: Context) => Promise<number | Failure>,
): Promise<number | Failure> {
  const { world } = context;
  const see = world.screen === undefined || isForMachines(context.format) ? inLines : onScreen;
  const draw = see(context);
  const pace = openPace(EVERY_MS);
  for (;;) {
    const shown: Shown[] = [];
    const outcome = await round({
      ...context,
      style: liveStyle(context),
      collect: (one) => void shown.push(one),
    });
    if (typeof outcome === "number") {
      await draw(shown, null);
      await world.sleep(pace.answered());
      continue;
    }
    const away = pace.failed(outcome);
    if (away === null) return outcome;
    if (away.isFirst) await draw(null, outcome);
    await world.sleep(away.restMs);
  }
}

/** The terminal may be resized. */
function liveStyle({ world, style }: Context): Context["style"] {
  if (style.columns === null || world.screen === undefined) return style;
  return { ...style, columns: world.screen.size().columns };
}

/** Draws an answer, or the failure of the last request. */
type Draw = (shown: readonly Shown[] | null, failed: Failure | null) => Promise<void>;

function onScreen(context: Context): Draw {
  const { world, format } = context;
  const name = ["navarch", ...world.argv].join(" ");
  let last = "";
  return async (shown, failed) => {
    const style = liveStyle(context);
    const { columns, rows } = world.screen?.size() ?? { columns: 80, rows: 24 };
    if (shown !== null) {
      last = shown.map((one) => humanText(one, format === "wide", style) || emptyOf(one)).join("");
    }
    const at = new Date(world.wallMs()).toISOString().slice(11, 19);
    const tail = `  ${at}Z`;
    const title = cutMiddle(plain(name), Math.max(1, columns - tail.length)) + tail;
    const warning = failed === null ? "" : `${plain(failed.message)}; trying again`;
    const head = [title, ...(warning === "" ? [] : [cutMiddle(warning, columns)]), ""];
    const body = last.replace(/\n$/, "").split("\n");
    const room = Math.max(1, rows - head.length - 1);
    const cut = body.length > room ? [`… ${body.length - room + 1} more lines`] : [];
    const kept = cut.length === 0 ? body : body.slice(0, room - 1);
    world.screen?.draw([...head, ...kept, ...cut]);
  };
}

function emptyOf({ empty }: Shown): string {
  return empty === undefined ? "" : `${empty}\n`;
}

/** Ages change with every answer, and do not make a line new. */
const AGE = /\b\d+[smhd] ago\b/g;

function inLines(context: Context): Draw {
  const { world, format } = context;
  const people = format === "table" || format === "wide";
  let before = new Set<string>();
  return async (shown, failed) => {
    if (failed !== null) world.err(`warning: ${plain(failed.message)}; trying again\n`);
    if (shown === null) return;
    const now = new Set<string>();
    const isNew = (key: string): boolean => {
      now.add(key);
      return !before.has(key);
    };
    for (const one of shown) {
      if (people) {
        const text = humanText(one, format === "wide", context.style);
        const lines = text.split(/(?<=\n)/).filter((line) => isNew(line.replace(AGE, "ago")));
        world.out(lines.join(""));
      } else await showNew(context, one, isNew);
    }
    before = now;
  };
}

async function showNew(
  context: Context,
  { data, names }: Shown,
  isNew: (key: string) => boolean,
): Promise<void> {
  const items: unknown[] = Array.isArray(data) ? data : [data];
  const keyOf = (item: unknown): string =>
    JSON.stringify(item, (key, value: unknown) => (key === "last_heartbeat" ? null : value));
  const isNames = context.format === "name";
  const fresh = isNames ? [] : items.filter((item) => isNew(keyOf(item)));
  const format = context.format === "json" ? "jsonl" : context.format;
  const named = isNames ? names.filter(isNew) : [];
  if (fresh.length + named.length === 0) return;
  await show({ ...context, format }, { data: fresh, names: named, human: () => "" });
}
