/**
 * `navarch pool scale`: changes a pool's size; `--wait` waits until the pool has it.
 */
import type { MembersView } from "../../reconciler/http/view/member.ts";
import type { PoolStatusView } from "../../schema/api.ts";
import { formatDuration } from "../../schema/duration.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { type Flag, type Flags, switchFlag, textFlag, textsFlag } from "../flag.ts";
import { poolPath, suggestPool } from "../lookup.ts";
import { IDS_MAX, REASON } from "../order.ts";
import { formatPoolStatus } from "../pool-view.ts";
import { plain } from "../table.ts";
import { waitFor } from "../wait.ts";

/** The slowest clouds take 15 minutes for a machine; a second try may be needed. */
const WAIT_DEFAULT_MS = 30 * 60_000;

/** Machines that a message names; navarch pool status --members lists all. */
const LEAVING_SHOWN = 8;

/** Exactly one of these is required. */
const WAYS: readonly Flag[] = [
  textFlag("nodes", "N", "set the target to N nodes"),
  textFlag("add", "K", "raise the target by K nodes"),
  textsFlag("remove", "NODE", "remove exactly these nodes (all or none)"),
  textFlag("lower-to", "N", "lower the target to N, unless that would remove nodes"),
];

/** The pool's status, and the result for each named node. */
type Resized = PoolStatusView & {
  warnings?: string[];
  removed?: string[];
  already_leaving?: string[];
};

export const poolScale: Command = {
  name: ["pool", "scale"],
  usage: "<pool> --nodes N",
  summary: "set the size of a pool",
  examples: [
    "navarch pool scale training --nodes 12 --wait",
    "navarch pool scale training --add 2",
  ],
  more:
    "Respects the pool's bounds and ignores its cooldown. With --nodes the pool chooses which\n" +
    "nodes to remove; --remove names them. Removed nodes are drained first.",
  flags: [
    ...WAYS,
    switchFlag("clamp", "with --nodes or --add: use the nearest bound instead of failing"),
    switchFlag("wait", "wait for that size, and the end of removed machines; exit 7 if it fails"),
    REASON,
  ],
  words: { min: 1, max: 1 + IDS_MAX },
  lasts: (flags) => flags.on("wait"),
  reach: "online",
  async run(context, client) {
    const { flags, words, world } = context;
    const [name = "", ...more] = words;
    const request = readRequest(flags, more);
    if (!request.ok) return request;
    const path = `${poolPath(name)}/${request.verb}`;
    const reason = flags.text("reason");
    const body = {
      ...request.body,
      ...(reason === null ? {} : { reason }),
      ...(flags.on("clamp") ? { clamp: true } : {}),
    };
    const answer = await client.send<Resized>(request.method, path, ["total_nodes"], body);
    if (!answer.ok) {
      return request.verb === "remove" ? answer : suggestPool(client, name, answer);
    }
    const { desired } = answer.value;
    world.err(`Pool ${name}: ${desired} ${desired === 1 ? "node" : "nodes"} wanted\n`);
    for (const line of sayMore(answer.value)) world.err(`${plain(line)}\n`);
    let last: Sized = answer;
    if (flags.on("wait")) {
      // Also if an earlier command asked for this size: its machines may still be billed.
      const awaitsEnds = request.verb !== "grow" && answer.value.total_nodes >= desired;
      const waited = await waitSize(context, client, { name, nodes: desired, awaitsEnds });
      if (!waited.ok) return waited;
      last = waited;
    }
    return {
      data: last.value,
      names: [name],
      human: (_wide, style) => formatPoolStatus(last.value, last.nowMs, style),
    };
  },
};

type SizeRequest = {
  ok: true;
  method: "PUT" | "POST";
  verb: string;
  body: Record<string, unknown>;
};

function readRequest(flags: Flags, words: readonly string[]): SizeRequest | Failure {
  const given = WAYS.filter(({ name }) => flags.from(name) !== null).map(({ name }) => name);
  const [way] = given;
  if (way === undefined) {
    const ways = "--nodes N, --add K, --remove NODE or --lower-to N";
    return usage(`pool scale needs ${ways} (see navarch help pool scale)`);
  }
  if (given.length > 1) {
    return usage(`pool scale takes one of --${given.join(", --")}, not several`);
  }
  if (flags.on("clamp") && way !== "nodes" && way !== "add") {
    return usage(`--clamp goes with --nodes or --add, not with --${way}`);
  }
  if (way === "remove") {
    const nodes = [...flags.texts("remove").flatMap((one) => one.split(",")), ...words];
    const named = nodes.map((one) => one.trim()).filter((one) => one !== "");
    if (named.length === 0) return usage("--remove: expected the name of a node");
    return { ok: true, method: "POST", verb: "remove", body: { nodes: [...new Set(named)] } };
  }
  const [extra] = words;
  if (extra !== undefined) return usage(`pool scale: unexpected "${extra}"`);
  const text = flags.text(way) ?? "";
  const least = way === "add" ? 1 : 0;
  if (!/^\d{1,6}$/.test(text) || Number(text) < least) {
    return usage(`--${way}: expected a whole number from ${least}, found "${text}"`);
  }
  const n = Number(text);
  if (way === "nodes") return { ok: true, method: "PUT", verb: "size", body: { nodes: n } };
  if (way === "add") return { ok: true, method: "POST", verb: "grow", body: { by: n } };
  return { ok: true, method: "POST", verb: "shrink-target", body: { to: n } };
}

function sayMore({ removed, already_leaving: leaving, warnings }: Resized): string[] {
  const list = (what: string, ids: string[] | undefined): string[] =>
    ids === undefined || ids.length === 0 ? [] : [`${what}: ${ids.join(", ")}`];
  return [
    ...list("Removed", removed),
    ...list("Leaving already", leaving),
    ...(warnings ?? []).map((one) => `warning: ${one}`),
  ];
}

type Sized = { ok: true; value: PoolStatusView; nowMs: number };

/** `awaitsEnds`: also wait until the cloud confirms the end of each instance that leaves. */
type Goal = { name: string; nodes: number; awaitsEnds: boolean };

/** Waits for exactly `nodes` verified nodes, with none being created or drained. */
async function waitSize(
  { world, timeoutGiven, timeoutMs }: Context,
  client: Client,
  goal: Goal,
): Promise<Sized | Failure> {
  const { name, nodes, awaitsEnds } = goal;
  const waitMs = timeoutGiven ? timeoutMs : WAIT_DEFAULT_MS;
  let last: Sized | null = null;
  let leaving: MembersView["members"] = [];
  const answer = await waitFor(world, waitMs, async () => {
    const seen = await client.get<PoolStatusView>(`${poolPath(name)}/status`, ["total_nodes"]);
    if (!seen.ok) return seen;
    last = seen;
    const { value } = seen;
    if (value.desired !== nodes) return "lost";
    // Read after the status: a node that the status no longer counts is listed until it is gone.
    if (awaitsEnds) {
      const read = await client.get<MembersView>(`${poolPath(name)}/members`, ["members"]);
      if (!read.ok) return read;
      leaving = read.value.members.filter(({ state }) => state === "deleting");
    }
    const moving = value.provisioning + value.draining + leaving.length;
    const there = value.total_nodes === nodes && value.healthy_nodes === nodes;
    return there && moving === 0 ? "reached" : "open";
  });
  if (typeof answer !== "string") return answer;
  const status = last as Sized | null;
  if (answer === "reached" && status !== null) return status;
  const still = sayLeaving(leaving);
  if (answer === "lost") {
    const wanted = status?.value.desired ?? "another";
    const message = `pool ${name}: the wanted size was changed to ${wanted}${still}`;
    return failure(EXIT.notReached, "not_reached", message);
  }
  const have = status === null ? "" : `: ${status.value.healthy_nodes} of ${nodes} are healthy`;
  const after = formatDuration(waitMs);
  const message = `pool ${name} did not reach ${nodes} nodes within ${after}${have}${still}`;
  return failure(EXIT.notReached, "not_reached", `${message} (see navarch explain pool ${name})`);
}

/** `; still there: gpu-3 (terminating, instance i-1 at lambda)`. */
function sayLeaving(leaving: MembersView["members"]): string {
  if (leaving.length === 0) return "";
  const shown = leaving.slice(0, LEAVING_SHOWN).map(({ node_id: id, phase, ...one }) => {
    if (one.instance_id === null) return `${id} (${phase})`;
    return `${id} (${phase}, instance ${one.instance_id} at ${one.provider ?? "a provider"})`;
  });
  const more = leaving.length - shown.length;
  return `; still there: ${shown.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}
