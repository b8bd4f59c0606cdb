/**
 * `navarch events`: lists events, oldest first; `--follow` prints new ones as they happen.
 */
import type { EventView } from "../../schema/api.ts";
import { formatTime } from "../age.ts";
import type { Client } from "../client.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { type EventFilter, getAllEvents, getEvents } from "../events.ts";
import { type Flags, textFlag } from "../flag.ts";
import { getSince } from "../lookup.ts";
import { openPace } from "../pace.ts";
import { show } from "../show.ts";
import { plain, formatTable } from "../table.ts";
import { unknownFilter } from "../unknown-filter.ts";

const FOLLOW_MS = 1_000;
/** Fixed, since later events are unknown when the first is printed; most kinds fit. */
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
    // Following starts now by default.
    const from = flags.text("since") ?? (isFollowed(flags) ? "0" : null);
    const since = from === null ? null : await getSince(client, "since", from);
    if (since?.ok === false) return since;
    const filter: EventFilter = {
      node: flags.text("node"),
      pool: flags.text("pool"),
      since: since?.at ?? null,
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

function cellsOf(event: EventView): string[] {
  const { at, kind, node_id: node, pool, actor, message } = event;
  return [formatTime(at), kind, node ?? "", pool ?? "", actor ?? "", message ?? ""];
}

/** Ends on an interrupt or a permanent error. */
async function follow(context: Context, client: Client, filter: EventFilter): Outcome {
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

/** JSON has one object a line. */
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
