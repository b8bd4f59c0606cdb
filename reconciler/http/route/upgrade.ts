/**
 * Upgrades of the fleet's agents: start, watch, stop. An upgrade names a release that this control
 * plane serves. Its agents' checksums are stored with the order, so agents install exactly what
 * was there when it was given.
 */
import * as v from "valibot";
import type { Context } from "hono";
import type { CampaignFact, UpgradeView } from "../../../schema/upgrade.ts";
import { isRelease, RELEASE_EXPECTED } from "../../../schema/release.ts";
import { campaignOf, isSettled, staleRows } from "../../core/upgrade/decide-upgrade.ts";
import { viewUpgrade } from "../view/upgrade.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { digestOf, parseSums, type Release, type Served } from "./release-folder.ts";
import {
  durationOf,
  eventBy,
  invalid,
  readAsked,
  reasonOrNone,
  Refusal,
  sayReason,
} from "./request.ts";

/** Download, start and one full check (once a minute) on a slow machine. */
export const DEADLINE_DEFAULT_MS = 3 * 60_000;
/** A shorter one fails on one lost heartbeat; a longer one hides a dead canary. */
const DEADLINE_MS = { min: 10_000, max: 3_600_000 };
/** Agents refuse an older release, which may have a known security hole. */
const NO_DOWNGRADE = "a downgrade needs a person at the machine (install.sh --version V there)";
const AGENT = /^navarch-node-(linux-[a-z0-9]+)$/;

export const UpgradeOrder = v.strictObject({
  to: v.pipe(
    v.string(`expected ${RELEASE_EXPECTED}`),
    v.check(isRelease, ({ input }) => {
      return `expected ${RELEASE_EXPECTED}, found ${JSON.stringify(input.slice(0, 80))}`;
    }),
  ),
  /** A percentage, such as `10%`. */
  max_unavailable: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,3}(\.\d+)?%$/, "expected a percentage, for example 10%")),
    "10%",
  ),
  deadline: v.nullish(v.string("expected a duration, for example 3m"), null),
  /** Sent by the command line of earlier releases; refused with the reason. */
  force: v.optional(v.boolean(), false),
});

const Stop = v.strictObject({
  reason: reasonOrNone,
  rollback: v.optional(v.boolean(), false),
});

async function begin(c: Context<Env>, ports: RoutePorts & Served): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, UpgradeOrder);
  const { to, force, max_unavailable: share } = body;
  if (force) return invalid(`force: ${NO_DOWNGRADE}`);
  const percent = Number(share.slice(0, -1));
  if (percent <= 0 || percent > 100) {
    return invalid("max_unavailable: expected more than 0% and at most 100%");
  }
  const deadlineMs = Math.round(
    body.deadline === null ? DEADLINE_DEFAULT_MS : durationOf("deadline", body.deadline),
  );
  if (deadlineMs < DEADLINE_MS.min || deadlineMs > DEADLINE_MS.max) {
    return invalid("deadline: expected 10s to 1h");
  }
  const release = (await ports.install?.releases.find(to)) ?? null;
  const files = release === null ? {} : agentsOf(release);
  if (release === null || Object.keys(files).length === 0) {
    const how = "put it into the release folder (npm run release)";
    throw new Refusal("not_found", `this control plane has no agent of release ${to}: ${how}`);
  }
  // Agents check this and would refuse; an answer here is better than a failed canary.
  if (parseSums(release.sums).get("VERSION") !== digestOf(`${to}\n`)) {
    const how = "agents would refuse it (npm run release writes that file)";
    const message = `SHA256SUMS of release ${to} has no checksum of its VERSION file: ${how}`;
    throw new Refusal("precondition_failed", message);
  }
  const { reconciler } = ports;
  const campaign: CampaignFact = {
    kind: "upgrade",
    id: ports.newId(),
    to,
    percent,
    force: false,
    by,
    startedAt: now,
    deadlineMs,
    files,
    state: "running",
    why: null,
    endedAt: null,
    rollback: false,
  };
  let busy: CampaignFact | null = null;
  await reconciler.change((draft) => {
    const known = draft.fact("upgrade");
    busy = known?.kind === "upgrade" && !isSettled(known, reconciler.fleet()) ? known : null;
    if (busy !== null) return;
    for (const key of staleRows(reconciler.fleet().facts, campaign)) draft.dropFact(key);
    draft.putFact(campaign);
    const message = `agents are upgraded to ${to}, at most ${share} at once`;
    draft.tell([eventBy(by, { at: now, kind: "command.issued", message })]);
  });
  const other = busy as CampaignFact | null;
  if (other !== null && (other.to !== to || other.state !== "running")) {
    const message = `the upgrade to ${other.to} is ${other.state}: stop it, or let it end first`;
    throw new Refusal("conflict", message);
  }
  return c.json(viewOf(ports), other === null ? 202 : 200);
}

function viewOf({ reconciler }: RoutePorts): UpgradeView {
  return viewUpgrade(reconciler.fleet(), reconciler.lastSight());
}

async function stop(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Stop);
  const { reconciler } = ports;
  const { reason, rollback } = body;
  const known = campaignOf(reconciler.fleet().facts);
  if (known === null) throw new Refusal("not_found", "no upgrade of agents was started yet");
  await reconciler.change((draft) => {
    const fact = draft.fact("upgrade");
    if (fact?.kind !== "upgrade") return;
    // A second stop with --rollback also rolls back what the first one left in place.
    const turns = rollback && !fact.rollback && fact.state !== "rolled back";
    if (fact.state !== "running" && !turns) return;
    const why = `by ${by}${sayReason(reason)}`;
    draft.putFact({ ...fact, state: "stopped", why, endedAt: now, rollback });
    const more = rollback ? ", and nodes that have it are rolled back" : "";
    const message = `the upgrade of agents to ${fact.to} is stopped ${why}${more}`;
    draft.tell([eventBy(by, { at: now, kind: "command.issued", message })]);
  });
  return c.json(viewOf(ports));
}

/** SHA-256 by platform. */
function agentsOf({ files }: Release): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, { sha256 }] of files) {
    const platform = AGENT.exec(name)?.[1];
    if (platform !== undefined) found[platform] = sha256;
  }
  return found;
}

export const upgradeRoutes: readonly Route<RoutePorts & Served>[] = [
  {
    at: "GET /v1/upgrade",
    access: "viewer",
    says: "the newest upgrade of agents",
    run: (c, ports) => c.json(viewOf(ports)),
  },
  // The release runs as root on every node, so this requires the admin role.
  {
    at: "POST /v1/upgrade",
    access: "admin",
    act: ["start", "upgrade"],
    body: UpgradeOrder,
    status: [200, 202],
    says: "start an upgrade: body `to`, `max_unavailable`, `deadline`",
    run: (c, ports) => begin(c, ports),
  },
  {
    at: "DELETE /v1/upgrade",
    access: "operator",
    act: ["stop", "upgrade"],
    body: Stop,
    says: "stop the upgrade: body `reason`, `rollback`",
    run: (c, ports) => stop(c, ports),
  },
];
