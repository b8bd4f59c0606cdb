/**
 * Folds one activation's facts into a unit of work, in this order: answers to calls, cloud
 * listings, the cluster, reports, orders, elapsed time. Pure except for the unit of work. Each
 * report is processed exactly once: its inbox row is deleted in the transaction that changes the
 * node.
 */
import type { CompiledPolicy } from "../../../health/policy/compile.ts";
import type { Command } from "../../../schema/command.ts";
import type { Config } from "../../../schema/config.ts";
import type { InstanceId, NodeId, OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet } from "../fleet.ts";
import type { Listing, Reach } from "../provider.ts";
import { pricedListing } from "../machine-setting.ts";
import { foldLooks, type Look } from "../stranger.ts";
import { REACHES_ANY, unreached } from "../reach.ts";
import { type Collapse, isBelieved, isCollapsed } from "../safety/collapse.ts";
import { discreditedIn, quarantineOf } from "../safety/step.ts";
import type { StoredEntry } from "../store.ts";
import { foldCommand } from "./command.ts";
import { foldCost } from "../cost/charge.ts";
import { type Cluster, foldCluster, type Known } from "./cluster.ts";
import { foldLeaving, foldRemoved } from "./leaving.ts";
import { foldEntry } from "./inbox-entry.ts";
import { adopt } from "./adopt.ts";
import { foldListing, type Sighting } from "./listing.ts";
import { ABSENT_LISTINGS_MIN } from "../provider.ts";
import type { Outcome } from "./outcome.ts";
import { foldOvertaken, settle } from "./settle.ts";
import { restOfFailure } from "./purchase.ts";
import { discredit, rejudgeNode } from "./rejudge.ts";
import { foldRebootResults } from "./reboot-order.ts";
import { foldUpgradeResults } from "../upgrade/word.ts";
import type { Presences } from "./presence.ts";
import { foldSlurm, type SlurmKnown, type SlurmNews } from "./slurm.ts";
import { foldTime, type TimeInput } from "./time.ts";
import { senderOf } from "./worker.ts";
import { sayOutcome } from "../say/outcome.ts";

export type FoldInput = Pick<TimeInput, "watchedMs"> & {
  fleet: Fleet;
  config: Config;
  now: number;
  answers: { id: OperationId; outcome: Outcome }[];
  listings: Listing[];
  /** Answered looks for machines of other fleets. */
  looks: Look[];
  entries: StoredEntry[];
  commands: Command[];
  sightings: ReadonlyMap<string, ReadonlyMap<InstanceId, Sighting>>;
  /** Providers whose listings are implausibly small. */
  collapsed: ReadonlyMap<string, Collapse>;
  presence: Presences;
  /** How long an accepted purchase may stay invisible, by provider. */
  settleMs: ReadonlyMap<string, number>;
  /** What each provider reaches now. */
  reaches: ReadonlyMap<string, Reach>;
  /** True while observations are unreliable: nothing is adopted or counted as surplus. */
  blind: boolean;
  /** `null` if neither the cluster nor the fleet has changed. */
  cluster: Cluster | null;
  /** The same of Slurm. */
  slurm: SlurmNews | null;
};

export type FoldResult = {
  sightings: Map<string, Map<InstanceId, Sighting>>;
  collapsed: Map<string, Collapse>;
  /** Providers whose complete listing was processed, and those whose listing failed. */
  listed: string[];
  unlisted: { provider: string; why: string }[];
  removed: NodeId[];
  commands: Command[];
  problems: { message: string; fields: Record<string, unknown> }[];
  judged: Judged;
  /** `null` = the cluster was not evaluated. */
  known: Known | null;
  knownSlurm: SlurmKnown | null;
};

/** Results of the policy for this activation's findings; counted after the commit. */
export type Judged = {
  matches: { rule: string; result: string }[];
  /** Results of shadow and suspended rules, which decide nothing. */
  shadows: { rule: string; result: string }[];
  errors: { rule: string; message: string }[];
};

export function foldEverything(
  input: FoldInput,
  policy: CompiledPolicy,
  work: UnitOfWork,
): FoldResult {
  const result: FoldResult = {
    sightings: new Map([...input.sightings].map(([k, m]) => [k, new Map(m)])),
    collapsed: new Map(input.collapsed),
    listed: [],
    unlisted: [],
    removed: [],
    commands: [],
    problems: [],
    judged: { matches: [], shadows: [], errors: [] },
    known: null,
    knownSlurm: null,
  };
  if (!input.fleet.facts.has("record")) work.putFact({ kind: "record", since: input.now });
  for (const answer of input.answers) settle(input.now, work, answer.id, answer.outcome);
  foldOvertaken(input.fleet, input.now, work);
  for (const told of input.listings) {
    foldCloud(input, work, pricedListing(input.config.pools, told), result);
  }
  foldLooks(input.looks, input.config, input.fleet, { now: input.now, work });
  if (input.cluster !== null) {
    result.known = foldCluster(input.cluster, input.fleet.nodes.keys(), input.now, work);
    foldLeaving(input.fleet.facts, input.cluster.objects, input.now, work);
  }
  if (input.slurm !== null) {
    result.knownSlurm = foldSlurm(input.slurm, input.fleet.nodes.keys(), input.now, work);
  }
  for (const entry of input.entries) foldOrSetAside(input, policy, work, entry, result);
  foldRules(input, policy, work);
  for (const command of input.commands) foldOneCommand(input, work, command, result);
  foldCost(input.fleet, input.now, work);
  result.removed.push(...foldTime(input, work));
  foldRemoved(work.change.removedNodes, input.now, work);
  return result;
}

function foldCloud(input: FoldInput, work: UnitOfWork, listing: Listing, result: FoldResult): void {
  const { provider, startedAt, answer } = listing;
  if (answer.kind === "failed") {
    const message = `cannot list ${provider}: ${answer.message}`;
    result.problems.push({ message, fields: { provider, class: answer.class } });
    result.unlisted.push({ provider, why: `${answer.class}: ${answer.message}` });
    // A provider whose listing collapsed and then failed must not stay blocked.
    const collapse = result.collapsed.get(provider);
    if (collapse !== undefined && isBelieved(collapse, input.now)) {
      result.collapsed.delete(provider);
    }
    return;
  }
  const fleet = fleetOf(input, work);
  const doubt = collapseOf(input, fleet, listing);
  if (doubt !== null) {
    result.collapsed.set(provider, doubt);
    const { seen, known } = doubt;
    const message = `${provider} lists ${seen} of ${known} known instances: not believed yet`;
    result.problems.push({ message, fields: { provider } });
    return;
  }
  result.collapsed.delete(provider);
  forgetKnown(fleet, provider, work);
  const folded = foldListing(
    fleet,
    provider,
    { startedAt, instances: answer.instances },
    {
      now: input.now,
      settleMs: input.settleMs.get(provider) ?? 0,
      reach: input.reaches.get(provider) ?? REACHES_ANY,
      sightings: input.sightings.get(provider) ?? new Map(),
      presence: input.presence,
      heartbeatTimeoutMs: input.config.server.heartbeatTimeoutMs,
    },
  );
  for (const node of folded.nodes) work.putNode(node);
  work.tell(folded.news);
  for (const failed of folded.failed) {
    work.putFact(restOfFailure(failed, (key) => work.fact(key), input.now));
  }
  for (const operation of folded.operations) work.putOperation(operation);
  for (const { operation, instance } of folded.answers) {
    settle(input.now, work, operation.id, {
      kind: "done",
      instance,
      message: sayOutcome({ code: "found_listed" }),
    });
  }
  result.listed.push(provider);
  result.sightings.set(
    provider,
    input.blind
      ? folded.sightings
      : adopt(input, work, fleetOf(input, work), {
          provider,
          instances: answer.instances,
          sightings: folded.sightings,
        }),
  );
}

/**
 * `null`: the listing counts. Instances that Navarch terminates are not missed. One that shows as
 * many others of the fleet is no other account's, such as after a restore.
 */
function collapseOf(input: FoldInput, fleet: Fleet, listing: Listing): Collapse | null {
  const { now, collapsed, reaches } = input;
  const at = collapsed.get(listing.provider)?.at ?? now;
  if (listing.answer.kind !== "ok" || isBelieved({ at }, now)) return null;
  const reach = reaches.get(listing.provider) ?? REACHES_ANY;
  const shown = new Set(listing.answer.instances.map((instance) => instance.id));
  const held = new Set<InstanceId>();
  let seen = 0;
  for (const { instance, phase } of fleet.nodes.values()) {
    if (
      instance === null ||
      instance.provider !== listing.provider ||
      instance.boundAt > listing.startedAt
    )
      continue;
    if (phase.kind === "terminating" || phase.kind === "gone" || instance.state === "terminated")
      continue;
    if (unreached(listing.provider, reach, instance) !== null) continue;
    // Believed to be gone before: a person's cordon may keep its record.
    const isAbsent = (instance.absentListings ?? 0) >= ABSENT_LISTINGS_MIN;
    if (isAbsent && !shown.has(instance.id)) continue;
    held.add(instance.id);
    if (shown.has(instance.id)) seen++;
  }
  const others = listing.answer.instances.filter(
    ({ id, state }) => state !== "terminated" && !held.has(id),
  );
  seen += new Set(others.map(({ id }) => id)).size;
  const known = Math.max(held.size, knewOf(fleet, listing.provider));
  return isCollapsed({ seen, known }) ? { at, seen, known } : null;
}

/** How many machines a restored backup knew there, while no list counted since. */
function knewOf({ facts }: Fleet, provider: string): number {
  const record = facts.get("record");
  return (record?.kind === "record" ? record.knew?.[provider] : null) ?? 0;
}

function forgetKnown({ facts }: Fleet, provider: string, work: UnitOfWork): void {
  const record = facts.get("record");
  if (record?.kind !== "record" || record.knew?.[provider] === undefined) return;
  const { [provider]: _, ...knew } = record.knew;
  work.putFact({ ...record, knew });
}

/** The fleet with the changes of this unit of work. */
function fleetOf(input: FoldInput, work: UnitOfWork): Fleet {
  const nodes = new Map<NodeId, Node>();
  for (const id of work.nodeIds()) {
    const node = work.node(id);
    if (node !== null) nodes.set(id, node);
  }
  const operations = new Map<OperationId, Operation>();
  for (const id of input.fleet.operations.keys()) {
    const operation = work.operation(id);
    if (operation?.state === "asked") operations.set(id, operation);
  }
  return { ...input.fleet, nodes, operations };
}

/** Quarantines an entry that throws: it is durable, and would stop every process that reads it. */
function foldOrSetAside(
  input: FoldInput,
  policy: CompiledPolicy,
  work: UnitOfWork,
  stored: StoredEntry,
  result: FoldResult,
): void {
  try {
    foldOneEntry(input, policy, work, stored, result);
  } catch (error) {
    const { node } = stored.entry;
    const why = error instanceof Error ? error.message : String(error);
    const message = `a report of ${node} could not be processed and was quarantined: ${why}`;
    const about = { at: input.now, node, pool: work.node(node)?.pool ?? null, session: null };
    work.tell([{ ...about, kind: "node.gap", actor: "navarch", message }]);
  }
}

function foldOneEntry(
  input: FoldInput,
  policy: CompiledPolicy,
  work: UnitOfWork,
  stored: StoredEntry,
  result: FoldResult,
): void {
  const { entry, receivedAt } = stored;
  work.change.foldedEntries.push(stored.id);
  for (const { seq, finding } of entry.findings) {
    const { node, stream } = entry;
    work.change.findings.push({ node, stream, seq, receivedAt, finding });
  }
  const known = senderOf(work.node(entry.node), entry, receivedAt);
  const labels = input.config.pools.find((pool) => pool.name === known.pool)?.labels ?? {};
  const context = { policy, labels, quarantined: quarantineOf(input.fleet.facts) };
  const folded = foldEntry(known, entry, receivedAt, context);
  work.putNode(foldRebootResults(folded.node, entry.results) ?? folded.node);
  work.tell(folded.events);
  foldUpgradeResults(entry.node, entry.results, work);
  result.judged.matches.push(...folded.matches);
  result.judged.shadows.push(...folded.shadows);
  result.judged.errors.push(...folded.policyErrors);
  for (const error of folded.policyErrors) {
    const message = `policy rule ${error.rule} could not be evaluated: ${error.message}`;
    result.problems.push({ message, fields: { rule: error.rule } });
  }
}

/** Judges nodes again whose policy or suspended rules have changed. */
function foldRules(input: FoldInput, policy: CompiledPolicy, work: UnitOfWork): void {
  const { config, now } = input;
  const quarantined = quarantineOf(input.fleet.facts);
  const discredited = discreditedIn(input.fleet.facts);
  for (const id of input.fleet.nodes.keys()) {
    const node = work.node(id);
    if (node === null) continue;
    const { held, aside } = node.health;
    if (held.length === 0 && (aside ?? []).length === 0) continue;
    const labels = config.pools.find((pool) => pool.name === node.pool)?.labels ?? {};
    const judged = rejudgeNode(node, { policy, labels, quarantined }, now);
    const freed = discredit(judged?.node ?? node, discredited, now);
    for (const one of [judged, freed]) {
      if (one === null) continue;
      work.putNode(one.node);
      work.tell(one.events);
    }
  }
}

function foldOneCommand(
  input: FoldInput,
  work: UnitOfWork,
  command: Command,
  result: FoldResult,
): void {
  const node = work.node(command.node);
  if (node === null) {
    const refused: Command = { ...command, state: "refused", message: `no node ${command.node}` };
    work.putCommand(refused);
    result.commands.push(refused);
    return;
  }
  const folded = foldCommand(node, command, input.now);
  work.putNode(folded.node);
  work.putCommand(folded.command);
  work.tell(folded.events);
  result.commands.push(folded.command);
}
