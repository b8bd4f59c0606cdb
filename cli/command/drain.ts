/**
 * `navarch drain`: moves work off nodes; `--wait` waits until it is gone.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { type DrainProgress, followDrain } from "../drain-progress.ts";
import { getAllEvents } from "../events.ts";
import { EXIT, failure, type Failure } from "../failure.ts";
import { readSpan, switchFlag, textFlag } from "../flag.ts";
import { DRY_RUN, FORCE, IDS_MAX, orderAll, REASON } from "../order.ts";
import { waitFor } from "../wait.ts";

const DRAIN_DEFAULT_MS = 30 * 60_000;
/** Extra wait, so that the control plane has noticed the deadline. */
const SLACK_MS = 30_000;

export const drain: Command = {
  name: ["drain"],
  usage: "<id>…",
  summary: "move work off nodes",
  examples: ["navarch drain gpu-7 --dry-run", "navarch drain gpu-7 --wait --reason 'new driver'"],
  flags: [
    REASON,
    textFlag("timeout-drain", "T", "drain deadline (default: the pool's)"),
    switchFlag("wait", "wait until drained; exit 7 if that fails"),
    { ...FORCE, help: "also end work that nothing restarts; requires --reason" },
    DRY_RUN,
  ],
  words: { min: 1, max: IDS_MAX },
  lasts: (flags) => flags.on("wait"),
  reach: "online",
  async run(context, client) {
    const { flags } = context;
    const text = flags.text("timeout-drain");
    const limit = text === null ? null : readSpan("timeout-drain", text);
    if (limit?.ok === false) return limit;
    const body = {
      ...(text === null ? {} : { timeout: text }),
      ...(flags.on("force") ? { force: true } : {}),
      ...(flags.on("dry-run") ? { dry_run: true } : {}),
    };
    const order = { type: "drain", done: "draining", body, warnStale: true } as const;
    const ownMs = (limit?.ms ?? DRAIN_DEFAULT_MS) + SLACK_MS;
    const waitMs = context.timeoutGiven ? context.timeoutMs : ownMs;
    return orderAll(context, client, order, async (command) =>
      flags.on("wait") ? waitDrained(context, client, command.node_id, waitMs) : null,
    );
  },
};

async function waitDrained(
  context: Context,
  client: Client,
  node: string,
  waitMs: number,
): Promise<Failure | null> {
  let after = 0;
  let progress: DrainProgress = "none";
  const answer = await waitFor(context.world, waitMs, async () => {
    const page = await getAllEvents(client, { node }, after);
    if (!page.ok) return page;
    after = page.after;
    for (const event of page.events) progress = followDrain(progress, event);
    return progress === "drained" ? "reached" : progress === "called_off" ? "lost" : "open";
  });
  if (answer === "reached") {
    context.world.err(`Node ${node} drained\n`);
    return null;
  }
  if (answer === "lost") {
    return failure(EXIT.notReached, "not_reached", `node ${node}: the drain was cancelled`);
  }
  if (answer !== "late") return answer;
  const waited = `node ${node} is not drained after ${formatDuration(waitMs)}`;
  return failure(EXIT.notReached, "not_reached", `${waited} (see navarch explain ${node})`);
}
