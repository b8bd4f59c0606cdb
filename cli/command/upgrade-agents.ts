/**
 * `navarch upgrade agents`: another release for the agents of the whole fleet, a few at a time;
 * `--wait` follows until it is over, and fails if it was not carried through.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { UpgradeView } from "../../schema/upgrade.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, usage, type Failure } from "../failure.ts";
import { openProgress } from "../progress.ts";
import { show } from "../show.ts";
import { isOnlyWaiting, isUpgradeOver, formatUpgrade, formatUpgradeLine } from "../upgrade-view.ts";
import { waitFor } from "../wait.ts";

/** Ten thousand nodes at a tenth of a per cent take a day; who has that many says `--timeout`. */
const WAIT_DEFAULT_MS = 2 * 3_600_000;

export const upgradeAgents: Command = {
  name: ["upgrade", "agents"],
  usage: "--to V [--max-unavailable N%]",
  summary: "install another release on the agents in waves",
  examples: ["navarch upgrade agents --to 0.2.0 --max-unavailable 10% --wait"],
  more:
    "One node first; when it came back well and stayed so for a minute, at most N% at once. The\n" +
    "first node that does not come back in time, or is worse than before, stops it, and those\n" +
    "that have the release already go back. Nodes that are cordoned, drained or repaired are\n" +
    "left alone until they serve. The release lies in the control plane's release folder; an\n" +
    "agent takes it only where it may write beside its binary (systemd/allow-upgrades.conf),\n" +
    "and only signed with the key that it was enrolled with. Nodes with a newer release are\n" +
    "left alone: a downgrade needs a person at the machine (install.sh --version V).",
  flags: [
    { name: "to", kind: "text", value: "V", help: "the release; must be given" },
    {
      name: "max-unavailable",
      kind: "text",
      value: "N%",
      help: "share of the agents that may be away at once, one always may (default 10%)",
    },
    {
      name: "deadline",
      kind: "text",
      value: "T",
      help: "how long a node may take to come back well (default 3m)",
    },
    { name: "wait", kind: "switch", help: "until it is over; exit 7 if it stopped" },
  ],
  words: { min: 0, max: 0 },
  lasts: (flags) => flags.on("wait"),
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const to = flags.text("to");
    if (to === null) return usage("upgrade agents needs --to V (see navarch help upgrade agents)");
    const share = flags.text("max-unavailable") ?? "10%";
    if (!/^\d{1,3}(\.\d+)?%$/.test(share)) {
      return usage(`--max-unavailable: expected a percentage, for example 10%, found "${share}"`);
    }
    const deadline = flags.text("deadline");
    const answer = await client.send<UpgradeView>("POST", "/upgrade", ["upgrade"], {
      to: to.replace(/^v(?=\d)/, ""),
      max_unavailable: share,
      ...(deadline === null ? {} : { deadline }),
    });
    if (!answer.ok) return answer;
    world.err(`${formatUpgradeLine(answer.value)}\n`);
    let last: Seen = answer;
    if (flags.on("wait")) {
      const waited = await waitUpgrade(context, client, answer);
      if (!waited.ok) return waited;
      last = waited;
    }
    const { value, nowMs } = last;
    await show(context, {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    });
    return EXIT.done;
  },
};

type Seen = { ok: true; value: UpgradeView; nowMs: number };

/** One line for each change; done also where all that is left waits for people or repairs. */
async function waitUpgrade(
  { world, timeoutGiven, timeoutMs }: Context,
  client: Client,
  first: Seen,
): Promise<Seen | Failure> {
  const waitMs = timeoutGiven ? timeoutMs : WAIT_DEFAULT_MS;
  const progress = openProgress(world, "upgrade", "count");
  let last = first;
  const reached = await waitFor(world, waitMs, async () => {
    const seen = await client.get<UpgradeView>("/upgrade", ["upgrade"]);
    if (!seen.ok) return seen;
    const line = formatUpgradeLine(seen.value);
    if (line !== formatUpgradeLine(last.value)) world.err(`${line}\n`);
    last = seen;
    const { upgrade } = seen.value;
    progress.show(upgrade?.have ?? 0, upgrade?.total ?? null);
    if (upgrade?.id !== first.value.upgrade?.id) return "lost";
    if (!isUpgradeOver(seen.value)) {
      const told = upgrade !== null && upgrade.nodes.some(({ state }) => state === "upgraded");
      return told && isOnlyWaiting(seen.value) && isAllWatched(seen) ? "reached" : "open";
    }
    return upgrade?.state === "done" ? "reached" : "lost";
  });
  progress.end();
  if (typeof reached !== "string") return reached;
  if (reached === "reached") return last;
  const line = formatUpgradeLine(last.value);
  const late = reached === "late" ? `not over after ${formatDuration(waitMs)}: ` : "";
  return failure(EXIT.notReached, "not_reached", `${late}${line} (see navarch upgrade status)`);
}

/** The last ones are still looked after for a minute. */
const WATCHED_MS = 60_000;

function isAllWatched({ value, nowMs }: Seen): boolean {
  const nodes = value.upgrade?.nodes ?? [];
  return nodes.every(({ state, since }) => {
    return state !== "upgraded" || since === null || nowMs - Date.parse(since) >= WATCHED_MS;
  });
}
