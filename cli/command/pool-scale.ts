/**
 * `navarch pool scale`: a new size for a pool; `--wait` follows until it has it.
 */
import type { PoolStatusView } from "../../schema/api.ts";
import { printDuration } from "../../schema/duration.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, usage } from "../failure.ts";
import type { Failure } from "../failure.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { REASON } from "../order.ts";
import { printPoolStatus } from "../pool-view.ts";
import { show } from "../show.ts";
import { waitFor } from "../wait.ts";

/** The slowest clouds take a quarter of an hour for a machine; a second try may be needed. */
const WAIT_DEFAULT_MS = 30 * 60_000;

export const poolScale: Command = {
  name: ["pool", "scale"],
  usage: "<pool> --nodes N",
  summary: "set the size of a pool",
  more: "Keeps to the pool's bounds and does not wait for its cooldown.",
  flags: [
    { name: "nodes", kind: "text", value: "N", help: "wanted number of nodes" },
    { name: "clamp", kind: "switch", help: "take the nearest bound instead of refusing" },
    { name: "wait", kind: "switch", help: "until the pool has that size; exit 7 if it never has" },
    REASON,
  ],
  words: { min: 1, max: 1 },
  lasts: (flags) => flags.on("wait"),
  reach: "online",
  async run(context, client) {
    const { flags, words, world } = context;
    const [name = ""] = words;
    const text = flags.text("nodes");
    if (text === null) return usage("pool scale needs --nodes N (see navarch help pool scale)");
    if (!/^\d{1,9}$/.test(text)) {
      return usage(`--nodes: expected a whole number from 0, found "${text}"`);
    }
    const path = poolPath(name);
    const reason = flags.text("reason");
    const answer = await client.send<PoolStatusView>("PUT", `${path}/size`, ["total_nodes"], {
      nodes: Number(text),
      ...(reason === null ? {} : { reason }),
      ...(flags.on("clamp") ? { clamp: true } : {}),
    });
    if (!answer.ok) return suggestPool(client, name, answer);
    const { desired } = answer.value;
    world.err(`Pool ${name}: ${desired} ${desired === 1 ? "node" : "nodes"} wanted\n`);
    let last = answer;
    let outcome: Failure | null = null;
    if (flags.on("wait")) {
      const waited = await waitSize(context, client, name, desired);
      if (!waited.ok) outcome = waited;
      else last = waited;
    }
    if (outcome !== null) return outcome;
    await show(context, {
      data: last.value,
      names: [name],
      human: (_wide, style) => printPoolStatus(last.value, last.nowMs, style),
    });
    return EXIT.done;
  },
};

type Sized = { ok: true; value: PoolStatusView; nowMs: number };

/** Until exactly `nodes` are there, all of them verified, and none is on its way in or out. */
async function waitSize(
  { world, timeoutGiven, timeoutMs }: Context,
  client: Client,
  name: string,
  nodes: number,
): Promise<Sized | Failure> {
  const waitMs = timeoutGiven ? timeoutMs : WAIT_DEFAULT_MS;
  let last: Sized | null = null;
  const answer = await waitFor(world, waitMs, async () => {
    const seen = await client.get<PoolStatusView>(`${poolPath(name)}/status`, ["total_nodes"]);
    if (!seen.ok) return seen;
    last = seen;
    const { value } = seen;
    if (value.desired !== nodes) return "lost";
    const moving = value.provisioning + value.draining;
    const there = value.total_nodes === nodes && value.healthy_nodes === nodes;
    return there && moving === 0 ? "reached" : "open";
  });
  if (typeof answer !== "string") return answer;
  const status = last as Sized | null;
  if (answer === "reached" && status !== null) return status;
  if (answer === "lost") {
    const wanted = status?.value.desired ?? "another";
    const message = `pool ${name}: the wanted size was changed to ${wanted}`;
    return failure(EXIT.notReached, "not_reached", message);
  }
  const have = status === null ? "" : `: ${status.value.healthy_nodes} of ${nodes} are healthy`;
  const message = `pool ${name} has not its size after ${printDuration(waitMs)}${have}`;
  return failure(EXIT.notReached, "not_reached", `${message} (see navarch explain pool ${name})`);
}
