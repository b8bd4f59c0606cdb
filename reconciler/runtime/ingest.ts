/**
 * Processes reports: identifies the sender, selects what is new, stores it, then acknowledges. A
 * quiet heartbeat is not stored. Whatever could change a decision is stored before it is
 * acknowledged, many reports in one transaction.
 */
import type { BootId, NodeId, StreamId } from "../../schema/id.ts";
import type { Config } from "../../schema/config.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Node, Origin } from "../../schema/node.ts";
import type { AgentCommand, Report, ReportReply } from "../../schema/report.ts";
import { AskAgain, Paced } from "./ask-again.ts";
import type { Clock } from "../core/clock.ts";
import { expectedOf, provenCheck } from "../core/expected.ts";
import { isUnbought, isWorker, verdictOfNode } from "../core/fleet.ts";
import { tellsNotice } from "../core/fold/notice.ts";
import { takeFairly } from "./inbox.ts";
import type { Presence } from "./presence.ts";
import { StaleEpoch } from "../core/store.ts";
import type { Cursor, InboxEntry, Store, StoredEntry } from "../core/store.ts";
import type { OrderSigner } from "../security/order-signer.ts";
import type { UpgradeWord } from "../core/upgrade/word.ts";
import { Unheard } from "./unheard.ts";
import { StreamCursors } from "./stream-cursor.ts";
import { statusOf } from "../core/status.ts";
import { isQuiet, isSameProof } from "./quiet.ts";

/** What the ingest needs from the reconciler. */
export type IngestTarget = {
  presence: Presence;
  node(id: NodeId): Node | null;
  count(): number;
  /** `<provider>/<instance id>` of any configured provider → node. */
  nodeOfProviderId(id: string): NodeId[];
  /** Nodes whose Kubernetes object has this name and was matched by more than the name. */
  nodeOfObject(name: string): NodeId[];
  /** The node with this id, compared without case. */
  nodeLike(id: NodeId): NodeId | null;
  takeEntries(entries: StoredEntry[]): void;
  /** The node's step in an upgrade of agents; `null` = none. */
  upgrade(id: NodeId): UpgradeWord | null;
  /** The order to reboot for the agent of this boot; `null` = none. */
  reboot(id: NodeId, bootId: string): AgentCommand | null;
  /** Signs orders; `null` = they are sent unsigned, and current agents refuse them. */
  signer: OrderSigner | null;
  config(): Config;
  /** See `LoopPorts`. */
  turn(): Promise<void>;
};

export type IngestAnswer =
  | { kind: "reply"; reply: ReportReply }
  /** `node` is the matched node, if its id differs from the reported name. */
  | { kind: "denied"; message: string; node?: NodeId }
  | { kind: "unavailable"; message: string };

/** How long an entry may wait to share a transaction. */
const BATCH_MS = 4;
/** Limits of one transaction, during which nothing else is served. */
const BATCH_MAX = { entries: 256, news: 400 };
/** Far more agents than register between two activations. */
const ARRIVING_MAX = 10_000;
const ARRIVING_MS = 60_000;
/** Less than two intervals of an agent; two agents would write their inventories in turn. */
const OTHERS_MS = 15_000;

type Waiting = { entry: InboxEntry; receivedAt: number; resolve: (ok: boolean) => void };
export class Ingest {
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly target: IngestTarget;
  /** Highest durable seq by `<node> <stream>`; this process is the store's only writer. */
  private readonly cursors = new StreamCursors();
  private waiting: Waiting[] = [];
  private writing = false;
  private armed = false;
  private failure: string | null = null;
  /** An append failed; a remote database may have written it nevertheless. */
  private unsure = false;
  /** Limits how often a changed address is stored. */
  private readonly moves = new Paced(60_000);
  private readonly again = new AskAgain();
  /** Limits how often a sender in another stream than the stored one is asked who it is. */
  private readonly others = new Paced(OTHERS_MS);
  private readonly unheard = new Unheard();
  /** New nodes by their id in lower case, until they are folded. */
  private readonly arriving = new Map<string, { id: NodeId; mono: number }>();

  constructor(store: Store, clock: Clock, target: IngestTarget, cursors: readonly Cursor[]) {
    this.store = store;
    this.clock = clock;
    this.target = target;
    for (const cursor of cursors) this.cursors.set(cursor);
  }

  /** Why entries cannot be written now, for readiness; `null` if they can. */
  problem(): string | null {
    return this.failure;
  }

  /**
   * One report of an authenticated agent. `only` is the node of its credential, `null` for the
   * shared token; `isRevoked` and `originOf` are asked about the matched node. Resolves when
   * everything new in the report is durable.
   */
  async accept(
    report: Report,
    only: NodeId | null,
    isRevoked: (node: NodeId) => boolean = () => false,
    originOf?: (node: NodeId) => Origin,
  ): Promise<IngestAnswer> {
    const found = this.identify(report, only);
    if (found.kind === "denied") return found;
    const id = found.node;
    if (isRevoked(id)) {
      return { kind: "denied", message: `the credentials of ${id} are revoked`, node: id };
    }
    const node = this.target.node(id);
    const mono = this.clock.monoMs();
    const wall = this.clock.wallMs();
    const unknown = node === null || node.agent === null;
    if (unknown && !report.inventory)
      return { kind: "reply", reply: this.reply(report, id, node, 0, true) };
    this.target.presence.note(id, mono, wall, report.sample ?? null);
    const origin = this.newOrigin(node, originOf?.(id), mono);
    const entry = this.entryOf(report, id, node, origin);
    if (entry !== null && !(await this.enqueue(entry, wall))) {
      return { kind: "unavailable", message: this.failure ?? "the store is not writable" };
    }
    const asks = this.again.asks(id, node?.agent ?? null, report.boot_id, mono);
    const seq = asks ? 0 : this.cursors.get(id, report.stream);
    const stale =
      node !== null &&
      node.agent !== null &&
      !report.inventory &&
      (node.agent.bootId !== report.boot_id ||
        hasRefused(report, node) ||
        (node.agent.stream !== report.stream && this.others.take(id, mono)));
    const reply = this.reply(report, id, this.target.node(id), seq, stale);
    if (this.unheard.asks(id, node, report.check, mono)) reply.tell_again = true;
    return { kind: "reply", reply };
  }

  /** The reporting node: by its id, else by instance identity. Two candidates are denied. */
  private identify(
    report: Report,
    only: NodeId | null,
  ): { kind: "ok"; node: NodeId } | Extract<IngestAnswer, { kind: "denied" }> {
    const named = report.node_id;
    let id = named;
    const known = this.target.node(id);
    // A DaemonSet's agent reports the name of the Node object. The record under that name falls
    // silent and is removed once the node is matched.
    const stray = known !== null && isUnbought(known) && !isWorker(known);
    if (known === null || stray) {
      const candidates = new Set<NodeId>(this.namesakes(report));
      for (const given of [id, ...(report.inventory?.provider_ids ?? [])]) {
        for (const node of this.target.nodeOfProviderId(given)) candidates.add(node);
      }
      if (candidates.size > 1) {
        return {
          kind: "denied",
          message: `${report.node_id} matches several instances: ${[...candidates].join(", ")}`,
        };
      }
      candidates.delete(id);
      for (const node of candidates) id = node;
    }
    if (this.target.node(id) === null && this.target.count() >= LIMIT.nodesMax) {
      return {
        kind: "denied",
        message: `this control plane takes at most ${LIMIT.nodesMax} nodes`,
      };
    }
    // A credential for an object's name is valid for the machine that Kubernetes matches with it.
    const tied = only === named && this.namesakes(report).includes(id);
    if (only !== null && only !== id && !tied)
      return { kind: "denied", message: `this credential may not speak for ${named}`, node: id };
    if (this.target.node(id)?.phase.kind === "gone")
      return { kind: "denied", message: `node ${id} is gone` };
    const like = this.target.node(id) === null ? this.likeOf(id) : null;
    if (like !== null) {
      const other = `node ${id} differs from node ${like} in case only`;
      return { kind: "denied", message: `${other}: give it another name, or forget ${like}` };
    }
    return { kind: "ok", node: id };
  }

  /** An earlier node whose id differs only in case, which Kubernetes and DNS ignore. */
  private likeOf(id: NodeId): NodeId | null {
    const lower = id.toLowerCase();
    const mono = this.clock.monoMs();
    const heard = this.arriving.get(lower);
    const lately = heard !== undefined && mono - heard.mono < ARRIVING_MS ? heard.id : id;
    const first = this.target.nodeLike(id) ?? lately;
    if (first !== id) return first;
    if (this.arriving.size >= ARRIVING_MAX) this.arriving.clear();
    this.arriving.set(lower, { id, mono });
    return null;
  }

  /**
   * Nodes whose Kubernetes object has the reported name and whose machine is the reporting one:
   * names are reused, and an earlier machine of that name may still run.
   */
  private namesakes(report: Report): NodeId[] {
    return this.target.nodeOfObject(report.node_id).filter((id) => {
      const node = this.target.node(id);
      if (node === null) return false;
      const boots = [node.kube?.bootId, node.agent?.bootId];
      if (boots.includes(report.boot_id)) return true;
      const read = report.inventory?.provider_ids ?? [];
      return node.instance !== null && read.includes(node.instance.id);
    });
  }

  /** The node's origin, if it changed. An address that changes often is stored once a minute. */
  private newOrigin(node: Node | null, origin: Origin | undefined, mono: number): Origin | null {
    if (origin === undefined) return null;
    const known = node?.agent?.origin;
    if (node === null || known === undefined || !isSameProof(known, origin)) return origin;
    if (known.address === origin.address) return null;
    return this.moves.take(node.id, mono) ? origin : null;
  }

  /** The durable part of the report, or `null` for a quiet heartbeat. */
  private entryOf(
    report: Report,
    id: NodeId,
    node: Node | null,
    origin: Origin | null,
  ): InboxEntry | null {
    const seq = this.cursors.get(id, report.stream);
    const findings = (report.findings ?? []).filter((f) => f.seq > seq);
    const gaps = (report.gaps ?? []).filter((g) => g.seq > seq);
    const results = report.results ?? [];
    const inventory = report.inventory ?? null;
    const check = provenCheck(node, report, this.target.config());
    const rebooted = node?.agent !== null && node?.agent?.bootId !== report.boot_id;
    const hasRows = findings.length + gaps.length + results.length > 0;
    const isTold = tellsNotice(node, report, this.clock.wallMs());
    const news = hasRows || inventory !== null || origin !== null || rebooted || isTold;
    // A clean check is stored if an upgrade waits for it.
    const awaited = this.target.upgrade(id);
    const quiet = awaited === null && check !== null && isQuiet(check, node, this.clock.wallMs());
    if (!news && (check === null || quiet)) return null;
    return {
      node: id,
      bootId: report.boot_id as BootId,
      stream: report.stream,
      agentVersion: report.agent_version,
      simulated: report.simulated,
      inventory,
      check,
      findings,
      gaps,
      results,
      ...(origin === null ? {} : { origin }),
      ...(report.notice === undefined ? {} : { notice: report.notice }),
    };
  }

  /** What a reply without a report says, to be pushed; `null` = the agent never reported. */
  unasked(id: NodeId): ReportReply | null {
    const node = this.target.node(id);
    if (node === null || node.agent === null) return null;
    const { bootId: boot_id, stream, simulated } = node.agent;
    const report = { node_id: id, boot_id, stream, simulated, inventory: null, results: [] };
    return this.reply(report, id, node, this.cursors.get(id, stream), false);
  }

  private reply(
    report: Pick<Report, "node_id" | "boot_id" | "stream" | "simulated" | "inventory" | "results">,
    id: NodeId,
    node: Node | null,
    seq: number,
    wantInventory: boolean,
  ): ReportReply {
    const { server } = this.target.config();
    const given = [
      this.target.upgrade(id)?.command ?? null,
      this.target.reboot(id, report.boot_id),
    ].filter((one) => one !== null);
    // A command that this report answers is not sent again before the answer is folded.
    const answered = new Set(report.results?.map(({ command_id }) => command_id));
    const ordered = given.filter(({ command_id }) => !answered.has(command_id));
    const { signer } = this.target;
    const now = this.clock.wallMs();
    // Signed for the name under which the agent reports, because the agent verifies it.
    const commands: AgentCommand[] = ordered.map((one) => {
      return signer === null ? one : signer.sign(one, report.node_id);
    });
    const trust = report.inventory?.trust ?? node?.agent?.inventory.trust ?? null;
    const isKnown = signer === null || trust?.key === signer.fingerprint;
    const expected = expectedOf(node, report, this.target.config());
    return {
      ack_seq: seq,
      stream: report.stream as StreamId,
      node_id: id,
      config: {
        heartbeat_ms: server.heartbeatIntervalMs,
        sample_ms: server.sampleIntervalMs,
        check_ms: server.healthCheckIntervalMs,
      },
      commands,
      server_time: new Date(now).toISOString(),
      want_inventory: wantInventory,
      node_status: node === null ? null : statusOf(node),
      verdict: node === null ? null : verdictOfNode(node),
      credential: null,
      ...(isKnown ? {} : { order_key: signer.shown }),
      ...(expected === null ? {} : { expected }),
    };
  }

  private enqueue(entry: InboxEntry, receivedAt: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.waiting.push({ entry, receivedAt, resolve });
      if (this.waiting.length >= BATCH_MAX.entries) void this.flush();
      else if (!this.armed) {
        this.armed = true;
        this.clock.after(BATCH_MS, () => {
          this.armed = false;
          void this.flush();
        });
      }
    });
  }

  /** Writes waiting entries, one transaction at a time; the cursor drops replays inside a batch. */
  private async flush(): Promise<void> {
    if (this.writing || this.waiting.length === 0) return;
    this.writing = true;
    const batch = takeFairly(this.waiting, BATCH_MAX);
    try {
      if (this.unsure) await this.catchUp();
      const { entries, marks } = this.newIn(batch);
      const ids = await this.store.appendEntries(entries, [...marks.values()]);
      for (const mark of marks.values()) this.cursors.set(mark);
      this.failure = null;
      this.target.takeEntries(entries.map((l, i) => ({ id: ids[i] ?? -1, ...l })));
      for (const one of batch) one.resolve(true);
    } catch (error) {
      // A write that was refused for its epoch wrote nothing.
      this.unsure ||= !(error instanceof StaleEpoch);
      this.failure = error instanceof Error ? error.message : String(error);
      for (const one of batch) one.resolve(false);
    } finally {
      if (this.waiting.length > 0) await this.target.turn();
      this.writing = false;
      if (this.waiting.length > 0) void this.flush();
    }
  }

  /** The new rows of a batch, and the cursor of each stream after them. */
  private newIn(batch: readonly Waiting[]) {
    const marks = new Map<string, Cursor>();
    const entries: { entry: InboxEntry; receivedAt: number }[] = [];
    for (const { entry, receivedAt } of batch) {
      const key = `${entry.node} ${entry.stream}`;
      const seen = marks.get(key)?.seq ?? this.cursors.get(entry.node, entry.stream);
      const findings = entry.findings.filter((f) => f.seq > seen);
      const gaps = entry.gaps.filter((g) => g.seq > seen);
      const top = Math.max(seen, ...findings.map((f) => f.seq), ...gaps.map((g) => g.seq));
      marks.set(key, { node: entry.node, stream: entry.stream, seq: top });
      entries.push({ entry: { ...entry, findings, gaps }, receivedAt });
    }
    return { entries, marks };
  }

  /** Folds entries that a failed append wrote after all; later they would be out of date. */
  private async catchUp(): Promise<void> {
    const { entries, cursors } = await this.store.load();
    for (const { node, stream, seq } of cursors) {
      this.cursors.set({ node, stream, seq: Math.max(seq, this.cursors.get(node, stream)) });
    }
    this.target.takeEntries(entries);
    this.unsure = false;
  }
}

/** The agent refused orders since its last inventory; a new inventory gives the reason. */
function hasRefused(report: Report, node: Node): boolean {
  return (report.refused_orders ?? 0) !== (node.agent?.inventory.trust?.refused ?? 0);
}
