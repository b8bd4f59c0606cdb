/**
 * Decides which agents to upgrade next, when to stop, and which agents to roll back. Pure and
 * level-triggered: it reads the campaign, the rows of the agents that were ordered to upgrade and
 * the nodes as they are now, so it may run at any time, twice, or after any restart.
 *
 *   one canary per platform → healthy for a while → at most N per cent at once → done
 *     └─ any agent is not healthy → stopped → upgraded agents roll back, N per cent at once
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { factKey, factsOf, type Fact } from "../../../schema/safety.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import { platformOf, candidateStatusOf, takesPart } from "./candidate.ts";
import { isLost, trackRow, WATCH_MS } from "./track.ts";

export type UpgradeLook = {
  facts: ReadonlyMap<string, Fact>;
  nodes: ReadonlyMap<NodeId, Node>;
  now: number;
  attentiveMs: number;
  /** Why nothing may be concluded or ordered now; `null` = continue. */
  paused: string | null;
};

export type UpgradeChange = { put: (CampaignFact | UpgradingFact)[]; events: EventDraft[] };

/**
 * A node that cannot get the order for this long (cordoned, held) is left behind: an upgrade must
 * not happen weeks after it was ordered.
 */
const CAMPAIGN_MS_MAX = 24 * 3_600_000;

export function campaignOf(facts: ReadonlyMap<string, Fact>): CampaignFact | null {
  const fact = facts.get("upgrade");
  return fact?.kind === "upgrade" ? fact : null;
}

export function rowsOf(facts: ReadonlyMap<string, Fact>, campaign: CampaignFact): UpgradingFact[] {
  return factsOf(facts, "upgrading").filter((row) => row.campaign === campaign.id);
}

/**
 * Each agent downloads some 110 MB from this process, beside the heartbeats: this many within three
 * minutes are 31 MB/s, and 10,000 nodes take some hours at most.
 */
const AWAY_MAX = 50;

/** How many agents may be upgrading at once: at least one, however small the share. */
export function roomOf(campaign: CampaignFact, nodes: Iterable<Node>): number {
  let total = 0;
  for (const node of nodes) if (takesPart(node)) total++;
  return Math.min(AWAY_MAX, Math.max(1, Math.floor((campaign.percent / 100) * total)));
}

export function isAway({ step }: UpgradingFact): boolean {
  return step === "told" || step === "checking" || step === "returning";
}

/** The rows and the campaign that change now, with their events. */
export function decideUpgrade(look: UpgradeLook): UpgradeChange {
  const campaign = campaignOf(look.facts);
  const change: UpgradeChange = { put: [], events: [] };
  if (campaign === null || isAtRest(campaign)) return change;
  const { now, attentiveMs, nodes } = look;
  const context = { campaign, now, attentiveMs, blind: look.paused !== null };
  const rows = rowsOf(look.facts, campaign).sort((a, b) => (a.node < b.node ? -1 : 1));
  const tracked = rows.map((row) => trackRow(row, nodes.get(row.node as NodeId), context));
  const next = campaign.state === "running" ? goOn : goBack;
  const { campaign: after, rows: changed } = next(campaign, tracked, look);
  const before = new Map(rows.map((row) => [row.node, row]));
  for (const row of changed) {
    const old = before.get(row.node);
    if (old === row) continue;
    change.put.push(row);
    if (old?.step !== row.step) change.events.push(eventOfRow(row, campaign, nodes, now));
  }
  if (after !== campaign) {
    change.put.push(after);
    change.events.push(eventOfCampaign(after, now));
  }
  return change;
}

/** The upgrade is finished. A rollback that still waits for an agent is not. */
export function isAtRest({ state, rollback }: CampaignFact): boolean {
  return state === "done" || state === "rolled back" || (state === "stopped" && !rollback);
}

/**
 * Finished, or waiting only for agents that did not return. A rollback that has reached its share
 * of silent agents continues only when one reports or is removed; other orders are allowed.
 */
export function isSettled(
  campaign: CampaignFact,
  { facts, nodes }: Pick<UpgradeLook, "facts" | "nodes">,
): boolean {
  if (isAtRest(campaign)) return true;
  const rows = rowsOf(facts, campaign);
  const over = ["refused", "back", "stranded", "left"];
  const open = rows.some(({ step }) => !over.includes(step));
  const lost = rows.some((row) => isLost(row, nodes.get(row.node as NodeId)));
  return campaign.state === "stopped" && (!open || (lost && !rows.some(isAway)));
}

type Next = { campaign: CampaignFact; rows: UpgradingFact[] };

function goOn(campaign: CampaignFact, rows: UpgradingFact[], look: UpgradeLook): Next {
  const { nodes, now, paused } = look;
  const failed = rows.find((row) => row.step === "failed");
  if (failed !== undefined) {
    const why = `${failed.node}: ${failed.why ?? "failed"}`;
    const stopped = { ...campaign, state: "stopped", why, endedAt: now, rollback: true } as const;
    return goBack(stopped, rows, look);
  }
  if (paused !== null) return { campaign, rows };
  const known = new Set(rows.map((row) => row.node));
  const statuses = [...nodes.values()]
    .filter((node) => takesPart(node) && !known.has(node.id))
    .map((node) => ({ node, status: candidateStatusOf(node, campaign) }));
  const next = statuses.filter(({ status }) => status.kind === "next").map(({ node }) => node);
  const waiting = statuses.filter(({ status }) => status.kind === "waiting").length;
  const away = rows.filter(isAway).length;
  const isOld = now - campaign.startedAt >= CAMPAIGN_MS_MAX;
  const watched = rows.some((row) => row.step === "upgraded" && now - row.since < WATCH_MS);
  if (isOld || next.length + waiting === 0) {
    if (away > 0 || watched) return { campaign, rows };
    const behind = next.length + waiting;
    const why = behind === 0 ? null : `${behind} nodes could not be reached within a day`;
    return { campaign: { ...campaign, state: "done", why, endedAt: now }, rows };
  }
  const room = roomOf(campaign, nodes.values()) - away;
  next.sort((a, b) => (a.id < b.id ? -1 : 1));
  const fresh = chooseNext(next, rows, look, room).map((node) => newRow(node, campaign, now));
  return { campaign, rows: [...rows, ...fresh] };
}

/**
 * Each platform's binary has one canary, and there is one canary at a time, however large the
 * share: a binary that works on one platform proves little about another.
 */
function chooseNext(
  next: readonly Node[],
  rows: readonly UpgradingFact[],
  { nodes, now }: UpgradeLook,
  room: number,
): Node[] {
  const of = (node: Node | undefined): string => (node && platformOf(node)) ?? "";
  const proven = new Set<string>();
  for (const { node, step, since } of rows) {
    const isProof = step === "upgraded" && now - since >= WATCH_MS;
    if (isProof) proven.add(of(nodes.get(node as NodeId)));
  }
  const isOpen = (row: UpgradingFact): boolean => row.step === "upgraded" || isAway(row);
  const isTried = (row: UpgradingFact): boolean => !proven.has(of(nodes.get(row.node as NodeId)));
  let canary = rows.some((row) => isOpen(row) && isTried(row));
  const chosen: Node[] = [];
  for (const node of next) {
    if (chosen.length >= room) break;
    const isProven = proven.has(of(node));
    if (!isProven && canary) continue;
    canary ||= !isProven;
    chosen.push(node);
  }
  return chosen;
}

function newRow(node: Node, campaign: CampaignFact, now: number): UpgradingFact {
  return {
    kind: "upgrading",
    node: node.id,
    campaign: campaign.id,
    step: "told",
    since: now,
    from: node.agent?.version ?? "",
    was: node.health.verdict,
    dueAt: now + campaign.deadlineMs,
    seen: false,
    answered: null,
    why: null,
  };
}

/** Steps that a rollback still has to reverse, in this order. */
const OWING: readonly UpgradingFact["step"][] = ["told", "checking", "failed", "upgraded"];

/** Rolls back agents that are out anyway at once, and the others as there is room. */
function goBack(campaign: CampaignFact, rows: UpgradingFact[], look: UpgradeLook): Next {
  const { nodes, now, paused } = look;
  const rank = (row: UpgradingFact): number => OWING.indexOf(row.step);
  const owes = (row: UpgradingFact): boolean => rank(row) >= 0;
  const most = roomOf(campaign, nodes.values());
  // A node that the rollback silenced is out as well: it may not silence more than the share.
  const isOut = (row: UpgradingFact): boolean =>
    isAway(row) || isLost(row, nodes.get(row.node as NodeId));
  let away = rows.filter(isOut).length;
  // Nodes that are upgrading are out already; the failed node comes next, because the others work.
  const turned = new Set<UpgradingFact>();
  for (const row of rows.filter(owes).sort((a, b) => rank(a) - rank(b))) {
    if (paused !== null || (!isAway(row) && away >= most)) continue;
    if (!isAway(row)) away++;
    turned.add(row);
  }
  const dueAt = now + campaign.deadlineMs;
  const next = rows.map((row): UpgradingFact => {
    if (!turned.has(row)) return row;
    return { ...row, step: "returning", since: now, dueAt, answered: null };
  });
  const open = next.some((row) => owes(row) || row.step === "returning" || row.step === "stranded");
  if (open) return { campaign, rows: next };
  return { campaign: { ...campaign, state: "rolled back", endedAt: now }, rows: next };
}

function eventOfRow(
  row: UpgradingFact,
  { to, by }: CampaignFact,
  nodes: ReadonlyMap<NodeId, Node>,
  now: number,
): EventDraft {
  const node = row.node as NodeId;
  const pool = nodes.get(node)?.pool ?? null;
  const session = nodes.get(node)?.session?.id ?? null;
  const isOrder = row.step === "told" || row.step === "returning";
  const [from, into] = row.step === "returning" ? [to, row.from] : [row.from, to];
  const why = row.why === null ? "" : `: ${row.why}`;
  const what = isOrder ? `ordered by ${by}` : row.step;
  const message = `agent upgrade from ${from} to ${into}: ${what}${why}`;
  const kind = isOrder ? "command.issued" : "command.finished";
  return { at: now, kind, node, pool, session, actor: "navarch", message };
}

export function eventOfCampaign({ to, state, why }: CampaignFact, now: number): EventDraft {
  const message = `the upgrade of agents to ${to} is ${state}${why === null ? "" : `: ${why}`}`;
  const about = { node: null, pool: null, session: null, actor: "navarch" } as const;
  return { at: now, kind: "command.finished", ...about, message };
}

/** A new campaign's rows replace those of the one before. */
export function staleRows(facts: ReadonlyMap<string, Fact>, campaign: CampaignFact): string[] {
  const rows = factsOf(facts, "upgrading").filter((row) => row.campaign !== campaign.id);
  return rows.map(factKey);
}
