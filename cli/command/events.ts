/**
 * `navarch events`: what happened, oldest first; `--follow` goes on with what happens.
 */
import type { EventView } from "../../schema/api.ts";
import { formatTime } from "../age.ts";
import type { Client } from "../client.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { type EventFilter, getAllEvents, getEvents } from "../events.ts";
import { type Failure, usage } from "../failure.ts";
import { type Flags, readSpan, textFlag } from "../flag.ts";
import { openPace } from "../pace.ts";
import { show } from "../show.ts";
import { plain, formatTable } from "../table.ts";
import { unknownFilter } from "../unknown-filter.ts";

const FOLLOW_MS = 1_000;
/** Printing as they come, widths cannot be known beforehand; most kinds fit. */
const KIND_COLUMNS = 18;

export const events: Command = {
  name: ["events"],
  usage: "",
  summary: "list events, oldest first",
  examples: ["navarch events --node gpu-7 --since 2h", "navarch events --follow -o json"],
  flags: [
    textFlag("node", "ID", "only events of this node"),
    textFlag("pool", "P", "only events of this pool"),
    textFlag("since", "T", "start: a duration (1h30m) or an RFC 3339 time"),
    { name: "follow", short: "f", kind: "switch", help: "print new events as they happen" },
    { name: "watch", short: "w", kind: "switch", help: "same as --follow" },
  ],
  words: { min: 0, max: 0 },
  lasts: isFollowed,
  reach: "online",
  async run(context, client) {
    const { flags } = context;
    const since = await readSince(context, client);
    if (!since.ok) return since;
    const filter: EventFilter = {
      node: flags.text("node"),
      pool: flags.text("pool"),
      since: since.at,
    };
    if (isFollowed(flags)) return follow(context, client, filter);
    const answer = await getAllEvents(client, filter);
    if (!answer.ok) return answer;
    if (answer.events.length === 0) {
      const unknown = await unknownFilter(client, flags, ["pool", "node"]);
      if (unknown !== null) return unknown;
    }
    const head = ["Time", "Kind", "Node ID", "Pool", "By", "Message"];
    return {
      data: answer.events,
      names: answer.events.map((event) => String(event.id)),
      human: (_wide, style) => formatTable(head, answer.events.map(cellsOf), style),
      empty: "No events found",
    };
  },
};

function isFollowed(flags: Flags): boolean {
  return flags.on("follow") || flags.on("watch");
}

type Since = { ok: true; at: string | null };

/**
 * A duration counts back from the server's own now, which the answer to any question tells.
 * Following starts now unless something else was asked for.
 */
async function readSince({ flags }: Context, client: Client): Promise<Since | Failure> {
  const text = flags.text("since") ?? (isFollowed(flags) ? "0" : null);
  if (text === null) return { ok: true, at: null };
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const at = Date.parse(text);
    if (Number.isNaN(at)) return usage(`--since: "${text}" is not an RFC 3339 time`);
    return { ok: true, at: new Date(at).toISOString() };
  }
  const span = readSpan("since", text);
  if (!span.ok) return span;
  const now = await client.get("/version", ["version"]);
  return now.ok ? { ok: true, at: new Date(now.nowMs - span.ms).toISOString() } : now;
}

function cellsOf(event: EventView): string[] {
  const { at, kind, node_id: node, pool, actor, message } = event;
  return [formatTime(at), kind, node ?? "", pool ?? "", actor ?? "", message ?? ""];
}

/** Ends only by an interrupt, or by an answer that another question would not change. */
async function follow(
  context: Context,
  client: Client,
  filter: EventFilter,
): Outcome {
  const { world } = context;
  const pace = openPace(FOLLOW_MS);
  let after = 0;
  for (;;) {
    const page = await getEvents(client, filter, after);
    if (!page.ok) {
      const away = pace.failed(page);
      if (away === null) return page;
      if (away.isFirst) world.err(`warning: ${plain(page.message)}; trying again\n`);
      await world.sleep(away.restMs);
      continue;
    }
    const restMs = pace.answered();
    after = page.after;
    for (const event of page.events) await printOne(context, event);
    if (!page.more) await world.sleep(restMs);
  }
}

/** One event as soon as it is known; JSON then has one object a line. */
async function printOne(context: Context, event: EventView): Promise<void> {
  const format = context.format === "json" ? "jsonl" : context.format;
  await show(
    { ...context, format },
    {
      data: format === "yaml" ? [event] : event,
      names: [String(event.id)],
      human: () => {
        const { at, kind, node_id: node, pool, message } = event;
        const about = node ?? pool ?? "-";
        const line = `${formatTime(at)}  ${kind.padEnd(KIND_COLUMNS)}  ${about}  ${message ?? ""}`;
        return `${plain(line)}\n`;
      },
    },
  );
}
