/**
 * `navarch upgrade agents|status|stop`: installs another release on the agents of the fleet in
 * waves. `--wait` follows until the upgrade ends, and fails if it did not complete.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { UpgradeView } from "../../schema/upgrade.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { REASON } from "../order.ts";
import { openProgress } from "../progress.ts";
import { formatUpgrade, formatUpgradeLine, isOnlyWaiting, isUpgradeOver } from "../upgrade-view.ts";
import { waitFor } from "../wait.ts";
import { WATCH_FLAG } from "../watch.ts";
import { parseInstant } from "../../schema/instant.ts";

/** 10,000 nodes at 0.1 % take a day: pass `--timeout`. */
const WAIT_DEFAULT_MS = 2 * 3_600_000;

export const upgradeAgents: Command = {
  name: ["upgrade", "agents"],
  usage: "--to V [--max-unavailable N%]",
  summary: "install another release on the agents in waves",
  examples: ["navarch upgrade agents --to 0.2.0 --max-unavailable 10% --wait"],
  more:
    "Upgrades one node of each platform first; when it has been healthy for a minute, at most\n" +
    "N% at once. If a node does not return in time, or is worse than before, the upgrade stops\n" +
    "and upgraded agents return to their old release. Nodes that are cordoned, drained or\n" +
    "repaired are skipped until they serve. The release must be in the control plane's release\n" +
    "folder. An agent accepts it only if it may write beside its binary\n" +
    "(systemd/allow-upgrades.conf), and only if it is signed with the key that the agent was\n" +
    "enrolled with. Nodes with a newer release are skipped: downgrade on the machine\n" +
    "(install.sh --version V).",
  flags: [
    textFlag("to", "V", "release to install (required)"),
    textFlag(
      "max-unavailable",
      "N%",
      "share of agents upgraded at once, at least one (default 10%)",
    ),
    textFlag("deadline", "T", "time limit for a node to return healthy (default 3m)"),
    switchFlag("wait", "wait until the upgrade ends; exit 7 if it stopped"),
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
    return {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    };
  },
};

type Seen = { ok: true; value: UpgradeView; nowMs: number };

/** Prints one line for each change; done too if only cordoned or repaired nodes are left. */
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
      const isDone = upgrade !== null && upgrade.nodes.some(({ state }) => state === "upgraded");
      return isDone && isOnlyWaiting(seen.value) && isAllWatched(seen) ? "reached" : "open";
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

/** The control plane watches each upgraded node for a minute. */
const WATCHED_MS = 60_000;

function isAllWatched({ value, nowMs }: Seen): boolean {
  const nodes = value.upgrade?.nodes ?? [];
  return nodes.every(({ state, since }) => {
    return state !== "upgraded" || since === null || nowMs - parseInstant(since) >= WATCHED_MS;
  });
}

export const upgradeStatus: Command = {
  name: ["upgrade", "status"],
  usage: "",
  summary: "show the progress of the newest agent upgrade",
  examples: ["navarch upgrade status"],
  flags: [WATCH_FLAG],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<UpgradeView>("/upgrade", ["upgrade"]);
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    };
  },
};

export const upgradeStop: Command = {
  name: ["upgrade", "stop"],
  usage: "[--rollback]",
  summary: "stop the upgrade of agents",
  examples: ["navarch upgrade stop --rollback"],
  more: "Upgraded agents keep the new release unless --rollback is given, now or later.",
  flags: [switchFlag("rollback", "return upgraded agents to the old release"), REASON],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags } = context;
    const answer = await client.send<UpgradeView>("DELETE", "/upgrade", ["upgrade"], {
      reason: flags.text("reason") ?? "",
      rollback: flags.on("rollback"),
    });
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: (value.upgrade?.nodes ?? []).map((node) => node.node_id),
      human: (_wide, style) => formatUpgrade(value, nowMs, style),
    };
  },
};
