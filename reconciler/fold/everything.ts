/**
 * One activation's facts, folded in their order into a draft: answers to our own calls first, then what
 * the clouds show, then what agents and people said, then the passing of time. Pure apart from the draft
 * it fills. Letters and their findings are taken in exactly once: the inbox row goes in the same
 * transaction as the node that it changed.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Command } from "../../schema/command.ts";
import type { Config } from "../../schema/config.ts";
import type { InstanceId, NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Draft } from "../draft.ts";
import { desiredOf, timingOf, type Fleet } from "../fleet.ts";
import type { Instance } from "../provider/provider.ts";
import type { StoredLetter } from "../store/store.ts";
import type { Listing } from "../watch-cloud.ts";
import { foldCommand } from "./command.ts";
import { foldLetter } from "./letter.ts";
import { adoptInstance, foldListing, type Sighting } from "./listing.ts";
import { strayNode } from "./new-node.ts";
import { foldOutcome, type Outcome } from "./outcome.ts";
import { foldPresence } from "./presence.ts";

export type FoldInput = {
  fleet: Fleet;
  config: Config;
  policy: CompiledPolicy;
  now: number;
  answers: { id: OperationId; outcome: Outcome }[];
  listings: Listing[];
  letters: StoredLetter[];
  commands: Command[];
  sightings: ReadonlyMap<string, ReadonlyMap<InstanceId, Sighting>>;
  silentMs(node: NodeId): number;
  settleMs(provider: string): number;
  /** True while the process does not trust its own eyes: nothing is adopted or condemned as surplus. */
  blind: boolean;
};

export type FoldResult = {
  sightings: Map<string, Map<InstanceId, Sighting>>;
  /** Providers whose complete listing was taken in. */
  listed: string[];
  removed: NodeId[];
  commands: Command[];
  problems: { message: string; fields: Record<string, unknown> }[];
  judged: Judged;
};

/** What the policy did with this activation's findings: counted once it is committed. */
export type Judged = { matches: { rule: string; result: string }[]; errors: { rule: string; message: string }[] };

export function foldEverything(input: FoldInput, draft: Draft): FoldResult {
  const result: FoldResult = {
    sightings: new Map([...input.sightings].map(([k, m]) => [k, new Map(m)])),
    listed: [],
    removed: [],
    commands: [],
    problems: [],
    judged: { matches: [], errors: [] },
  };
  for (const answer of input.answers) settle(input, draft, answer.id, answer.outcome);
  for (const listing of input.listings) foldCloud(input, draft, listing, result);
  for (const letter of input.letters) foldOneLetter(input, draft, letter, result);
  for (const command of input.commands) foldOneCommand(input, draft, command, result);
  foldTime(input, draft, result);
  return result;
}

/** The answer to an operation, once: a second answer for a closed one changes nothing. */
function settle(input: FoldInput, draft: Draft, id: OperationId, outcome: Outcome): void {
  const operation = draft.operation(id);
  if (operation === null || operation.state !== "asked") return;
  const node = draft.node(operation.node);
  const folded = foldOutcome(operation, node, draft.pool(operation.pool), outcome, input.now);
  draft.putOperation(folded.operation);
  if (folded.node !== null) draft.putNode(folded.node);
  if (folded.pool !== null) draft.putPool(folded.pool);
  draft.tell(folded.events);
}

function foldCloud(input: FoldInput, draft: Draft, listing: Listing, result: FoldResult): void {
  const { provider, startedAt, answer } = listing;
  if (answer.kind === "failed") {
    result.problems.push({ message: `cannot list ${provider}: ${answer.message}`, fields: { provider, class: answer.class } });
    return;
  }
  const folded = foldListing(draftFleet(input, draft), provider, { startedAt, instances: answer.instances }, {
    now: input.now,
    settleMs: input.settleMs(provider),
    sightings: input.sightings.get(provider) ?? new Map(),
    silentMs: input.silentMs,
    heartbeatTimeoutMs: input.config.server.heartbeatTimeoutMs,
  });
  for (const node of folded.nodes) draft.putNode(node);
  for (const operation of folded.operations) draft.putOperation(operation);
  draft.tell(folded.events);
  for (const { operation, instance } of folded.answers) {
    settle(input, draft, operation.id, { kind: "done", instance, message: "found in a listing" });
  }
  result.listed.push(provider);
  result.sightings.set(provider, input.blind ? folded.sightings : adopt(input, draft, provider, answer.instances, folded.sightings));
}

/** The fleet as the draft has it now: one pass folds several facts. */
function draftFleet(input: FoldInput, draft: Draft): Fleet {
  const nodes = new Map<NodeId, Node>();
  for (const id of draft.nodeIds()) {
    const node = draft.node(id);
    if (node !== null) nodes.set(id, node);
  }
  const operations = new Map([...input.fleet.operations].filter(([id]) => draft.operation(id)?.state === "asked"));
  return { ...input.fleet, nodes, operations };
}

/** Seen twice and past the settle time: what nobody claims becomes a node of its pool, or a surplus. */
const LISTINGS_MIN = 2;

function adopt(
  input: FoldInput,
  draft: Draft,
  provider: string,
  instances: Instance[],
  sightings: Map<InstanceId, Sighting>,
): Map<InstanceId, Sighting> {
  const left = new Map<InstanceId, Sighting>();
  for (const [id, sighting] of sightings) {
    const instance = instances.find((one) => one.id === id);
    if (instance === undefined) continue;
    const settled = input.now - sighting.firstAt >= input.settleMs(provider);
    if (sighting.listings < LISTINGS_MIN || !settled) {
      left.set(id, sighting);
      continue;
    }
    const fleet = draftFleet(input, draft);
    const wanted = instance.state !== "terminating" && wantsInstance(input, fleet, instance);
    const { node, event } = adoptInstance(fleet, provider as PoolName, instance, input.now, wanted);
    draft.putNode(node);
    draft.tell([event]);
    const pool = draft.pool(node.pool);
    if (pool !== null && node.gen >= pool.nextGen) draft.putPool({ ...pool, nextGen: node.gen + 1 });
  }
  return left;
}

function wantsInstance(input: FoldInput, fleet: Fleet, instance: Instance): boolean {
  const pool = input.config.pools.find((one) => one.name === instance.tags["navarch-pool"]);
  const slot = Number(instance.tags["navarch-slot"] ?? Number.NaN);
  if (pool === undefined || !Number.isInteger(slot)) return false;
  const taken = new Set<number>();
  for (const node of fleet.nodes.values()) {
    if (node.pool === pool.name && node.slot !== null && node.phase.kind !== "gone") taken.add(node.slot);
  }
  return !taken.has(slot) && taken.size < desiredOf(pool, fleet.pools.get(pool.name));
}

function foldOneLetter(input: FoldInput, draft: Draft, stored: StoredLetter, result: FoldResult): void {
  const { letter, receivedAt } = stored;
  draft.change.foldedLetters.push(stored.id);
  for (const { seq, finding } of letter.findings) {
    draft.change.findings.push({ node: letter.node, stream: letter.stream, seq, receivedAt, finding });
  }
  const known = draft.node(letter.node) ?? strayNode(letter.node, receivedAt);
  const labels = input.config.pools.find((pool) => pool.name === known.pool)?.labels ?? {};
  const folded = foldLetter(known, letter, receivedAt, { policy: input.policy, labels });
  draft.putNode(folded.node);
  draft.tell(folded.events);
  result.judged.matches.push(...folded.matches);
  result.judged.errors.push(...folded.policyErrors);
  for (const error of folded.policyErrors) {
    result.problems.push({ message: `policy rule ${error.rule} could not be evaluated: ${error.message}`, fields: { rule: error.rule } });
  }
}

function foldOneCommand(input: FoldInput, draft: Draft, command: Command, result: FoldResult): void {
  const node = draft.node(command.node);
  if (node === null) {
    const refused: Command = { ...command, state: "refused", message: `no node ${command.node}` };
    draft.putCommand(refused);
    result.commands.push(refused);
    return;
  }
  const folded = foldCommand(node, command, input.now);
  draft.putNode(folded.node);
  draft.putCommand(folded.command);
  draft.tell(folded.events);
  result.commands.push(folded.command);
}

function foldTime(input: FoldInput, draft: Draft, result: FoldResult): void {
  const timing = timingOf(input.config);
  for (const id of input.fleet.nodes.keys()) {
    const node = draft.node(id);
    if (node === null) continue;
    if (node.phase.kind === "gone") {
      if (input.now - node.phase.since < timing.retainTerminatedMs) continue;
      draft.change.removedNodes.push(id);
      result.removed.push(id);
      continue;
    }
    const folded = foldPresence(node, input.silentMs(id), input.now, timing);
    if (folded === null) continue;
    draft.putNode(folded.node);
    draft.tell(folded.events);
  }
}
