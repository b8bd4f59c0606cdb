/**
 * Drains and undrains nodes in Slurm and ends their jobs: one write at a time for each node,
 * sixteen at once. Slurm has one reason and no compare-and-set, so the owner is read directly
 * before and after each write; nodes whose turns overlap share these reads.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { Fence } from "../core/provider.ts";
import type { SlurmAnswer, SlurmClient, SlurmNodeChange } from "../core/slurm/client.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { REASON_CHARS_MAX } from "../core/slurm/mark.ts";
import { isHeldByItself, ownerOf } from "../core/slurm/owner.ts";
import type { JobsTold, SlurmMark, Undrain } from "../core/slurm/sink.ts";
import { isDrained } from "../core/slurm/state.ts";
import { Gate } from "../core/turn/gate.ts";
import { inTime } from "../core/turn/time-limit.ts";
import { type JobOrder, tellJobs } from "./job-order.ts";
import { NodeReader } from "./node-reader.ts";
import type { Watch } from "./watch.ts";

export type MarkerPorts = { client: SlurmClient; clock: Clock; log: Log; watch: Watch };

/** On a busy machine a write waits for its process and the event loop, hardly for slurmctld. */
const WRITES_MAX = 16;
/** Half of them read while the others write: a node waits for one write at most after its read. */
const TURNS_MAX = 2 * WRITES_MAX;
/** Well below the 7 s that a call may last beside a standby (`server/lease/lease.ts`). */
const BEGIN_WITHIN_MS = 3_000;
/** Slurm cannot refuse a stale write: one that could not be sent by then is not sent. */
const SEND_WITHIN_MS = 7_000;
/** Kubernetes' part of the same operation waits no longer; the next list shows what came of it. */
const ANSWER_WITHIN_MS = 10_000;

/** `isOver`: too late, or no longer the leader; `isLate`: that, or a newer order. */
type Turn = { name: string; isOver: () => string | null; isLate: () => string | null };
type Refused = Extract<SlurmMark, { kind: "refused" }>;
type Unsent = Extract<SlurmMark, { kind: "unsent" }>;
type Unanswered = Extract<SlurmMark, { kind: "ambiguous" }>;

export class Marker {
  readonly #ports: MarkerPorts;
  readonly #reader: NodeReader;
  /** The last write of each node. */
  readonly #last = new Map<string, Promise<unknown>>();
  readonly #turns = new Gate(TURNS_MAX);
  readonly #writes = new Gate(WRITES_MAX);
  /** The newest fence by node id. */
  readonly #fences = new Map<string, number>();
  #term = 0;

  constructor(ports: MarkerPorts) {
    this.#ports = ports;
    const { client, clock, watch } = ports;
    this.#reader = new NodeReader(client, clock, (rows, askedAt) => watch.note(rows, askedAt));
  }

  /** Writes that wait for their turn are not sent any more. */
  stop(): void {
    this.#term += 1;
    this.#fences.clear();
  }

  drain(name: string, reason: string, fence: Fence): Promise<SlurmMark> {
    return this.#inTurn(name, fence, (turn) => this.#drain(turn, reason));
  }

  undrain(name: string, fence: Fence, options: Undrain): Promise<SlurmMark> {
    return this.#inTurn(name, fence, (turn) => this.#undrain(turn, options));
  }

  async endJobs(name: string, order: JobOrder, fence: Fence): Promise<JobsTold> {
    const told = await this.#inTurn(name, fence, (turn) => this.#endJobs(turn, order));
    return told.kind === "unsent" ? refused(told.message) : told;
  }

  async #endJobs(turn: Turn, order: JobOrder): Promise<JobsTold> {
    const before = await this.#readFirst(turn);
    if ("kind" in before) return before;
    if (ownerOf(before) !== "own" || !isDrained(before)) {
      return { kind: "ok", told: "no job was told: the node is not drained by Navarch" };
    }
    return this.#writes.pass(() => tellJobs(this.#ports.client, turn, order));
  }

  async #drain(turn: Turn, reason: string): Promise<SlurmMark> {
    const { name } = turn;
    const before = await this.#readFirst(turn);
    if ("kind" in before) return before;
    const owner = ownerOf(before);
    if (owner === "foreign") return shown(before);
    // `scontrol reboot` appends to a reason.
    const isSame = before.reason === reason || before.reason?.startsWith(`${reason} : `) === true;
    if (owner === "own" && isDrained(before) && isSame) return shown(before);
    const answer = await this.#write(turn, { state: "drain", reason });
    if (answer.kind === "refused") return answer;
    const overwritten = this.#ports.watch.node(name);
    const after = await this.#reader.read(name);
    if (after.kind !== "ok") return unread(answer, after);
    if (ownerOf(after.node) === "own" && overwritten !== undefined) {
      const restored = await this.#restore(turn, overwritten);
      if (restored !== null) return restored;
    }
    const isDone = ownerOf(after.node) === "foreign" || isDrained(after.node);
    return isDone ? shown(after.node) : unconfirmed(answer, "the node is not drained");
  }

  async #undrain(turn: Turn, { liftsDown = false, lifts }: Undrain): Promise<SlurmMark> {
    const before = await this.#readFirst(turn);
    if ("kind" in before) return before;
    const isDown = liftsDown && before.base === "DOWN";
    const isOurs = ownerOf(before) === "own" || isReason(before, lifts);
    if (!isOurs || !(isDown || isDrained(before))) return shown(before);
    const state = isDown ? "resume" : "undrain";
    const answer = await this.#write(turn, { state });
    if (answer.kind === "refused") return answer;
    const after = await this.#reader.read(turn.name);
    if (after.kind !== "ok") return unread(answer, after);
    const isDone = ownerOf(after.node) === "foreign" || !isDrained(after.node);
    return isDone ? shown(after.node) : unconfirmed(answer, "the node is still drained");
  }

  /** A list between the read and the write showed another owner: its reason is put back. */
  async #restore({ name, isOver }: Turn, seen: SlurmNode): Promise<SlurmMark | null> {
    const { reason } = seen;
    if (ownerOf(seen) !== "foreign" || reason === null) return null;
    const { client, log } = this.#ports;
    const undrain = isDrained(seen) ? [] : [{ state: "undrain" as const }];
    let answer: SlurmAnswer<null> = { kind: "ok", value: null };
    for (const change of [...undrain, { reason }]) {
      const why = isOver();
      if (why !== null) {
        // By now the drain may be another leader's.
        const fields = { node: name, reason, why };
        log("warn", "a drain overwrote another owner's reason, which is not restored", fields);
        return null;
      }
      answer = await client.update([name], change);
    }
    log("warn", "a drain overwrote another owner's reason, which is restored", { node: name });
    const after = await this.#reader.read(name);
    return after.kind === "ok" ? shown(after.node) : unread(answer, after);
  }

  /** The node directly before the write, or why there is none. */
  async #readFirst({ name, isLate }: Turn): Promise<SlurmNode | Refused> {
    const before = await this.#reader.read(name);
    if (before.kind === "absent") return refused(`Slurm has no node ${name}`);
    if (before.kind === "failed") return refused(before.message);
    const late = isLate();
    return late === null ? before.node : refused(late);
  }

  #write({ name, isLate }: Turn, change: SlurmNodeChange): Promise<SlurmAnswer<null>> {
    return this.#writes.pass(async () => {
      const late = isLate();
      return late === null ? this.#ports.client.update([name], change) : refused(late);
    });
  }

  async #inTurn<T>(
    name: string,
    fence: Fence,
    write: (turn: Turn) => Promise<T>,
  ): Promise<T | Refused | Unsent | Unanswered> {
    const { clock, watch } = this.#ports;
    const problem = watch.problem();
    if (problem !== null) return refused(problem);
    this.#fences.set(fence.nodeId, Math.max(fence.fence, this.#fences.get(fence.nodeId) ?? 0));
    const term = this.#term;
    const askedAt = clock.monoMs();
    const isOver = (): string | null => {
      if (term !== this.#term) return "this process no longer leads";
      const waitedMs = clock.monoMs() - askedAt;
      if (waitedMs <= SEND_WITHIN_MS) return null;
      return `not sent: Slurm was not ready within ${SEND_WITHIN_MS / 1_000} s`;
    };
    const isLate = (): string | null => {
      const isOld = (this.#fences.get(fence.nodeId) ?? 0) > fence.fence;
      return isOld ? "a newer order replaced it" : isOver();
    };
    const begin = async (): Promise<T | Refused | Unsent> => {
      const late = isLate();
      if (late !== null) return refused(late);
      const waitedMs = clock.monoMs() - askedAt;
      return waitedMs <= BEGIN_WITHIN_MS ? write({ name, isOver, isLate }) : NO_TURN;
    };
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(() => this.#turns.pass(begin));
    this.#last.set(name, turn);
    const end = (): void => void (this.#last.get(name) === turn && this.#last.delete(name));
    void turn.then(end, end);
    return this.#answerOf(turn);
  }

  /** A hanging Slurm holds up nothing but its own next write of the node. */
  #answerOf<T>(turn: Promise<T>): Promise<T | Unanswered> {
    const message = `Slurm has not answered within ${ANSWER_WITHIN_MS / 1_000} s`;
    const late = (): Unanswered => ({ kind: "ambiguous", message });
    return inTime(this.#ports.clock, ANSWER_WITHIN_MS, () => turn, late);
  }
}

const NO_TURN: Unsent = {
  kind: "unsent",
  message: `not sent: others were written for ${BEGIN_WITHIN_MS / 1_000} s`,
};

/** slurmctld's own, and the very one that was judged: whatever was written since is another's. */
function isReason(node: SlurmNode, lifts: string | undefined): boolean {
  const { reason } = node;
  return reason?.slice(0, REASON_CHARS_MAX) === lifts && reason !== null && isHeldByItself(node);
}

const refused = (message: string): Refused => ({ kind: "refused", message });

function shown(node: SlurmNode): SlurmMark {
  return { kind: "ok", owner: ownerOf(node), bootTime: node.bootTime };
}

function unread(
  answer: SlurmAnswer<null>,
  after: { kind: "absent" } | { kind: "failed"; message: string },
): SlurmMark {
  return unconfirmed(answer, after.kind === "absent" ? "the node is gone" : after.message);
}

function unconfirmed(answer: SlurmAnswer<null>, message: string): SlurmMark {
  const wrote = answer.kind === "ok" ? "written, but" : `${answer.message};`;
  return { kind: "ambiguous", message: `${wrote} not confirmed: ${message}` };
}
