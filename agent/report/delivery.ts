/**
 * Composes and schedules reports, one at a time. Findings are sent in order and stay in the spool
 * until acknowledged; a failed delivery is retried without end, with exponential back-off and
 * jitter.
 */
import type { AgentNotice, Check, CommandResult, Report } from "../../schema/report.ts";
import type { ReportReply } from "../../schema/report.ts";
import { LIMIT } from "../../schema/limit.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock, SendAnswer, Sender } from "../port/port.ts";
import type { Spool, SpoolBatch } from "../spool/spool.ts";

/** Half of a report: inventory, sample and check of 64 GPUs need less than the rest. */
const FINDING_BYTES_MAX = LIMIT.reportBytesMax / 2;
export const PAUSE_MS = { first: 1_000, max: LIMIT.agentPauseMsMax };
/** Between attempts that isolate a refused finding: the server answers, so no back-off. */
const NARROWING_MS = 500;
/** The shortest pause that a control plane can ask for. */
const WAIT_MS_MIN = 100;
/** Failures are logged at most once in this time. */
const COMPLAINT_MS = 60_000;
/** The contract's bound of `results`. */
const RESULTS_MAX = 32;

type Envelope = Omit<
  Report,
  "stream" | "check" | "findings" | "gaps" | "results" | "pod_token" | "notice"
>;

export type DeliveryParts = {
  clock: Clock;
  sender: Sender;
  spool: Spool;
  random: () => number;
  log: (level: "info" | "warn", message: string, fields?: Record<string, unknown>) => void;
  /** The parts that the delivery does not decide; it omits a known `inventory`. */
  envelope: () => Envelope;
  /** Sent with the inventory: see `pod_token` of `Report`. */
  podToken: () => string | null;
  /** In every report while it holds; a new one is sent at once. */
  notice: () => AgentNotice | null;
  heard: (reply: ReportReply) => void;
  /** The control plane has accepted these results. */
  delivered: (results: readonly CommandResult[]) => void;
};

export class Delivery {
  readonly #parts: DeliveryParts;
  #due = false;
  /** The newest check that no report has carried yet. */
  #check: Check | null = null;
  #results: CommandResult[] = [];
  /** The inventory that the control plane has, as text; a different one is sent. */
  #known = "";
  /** The notice that the control plane has. */
  #told: AgentNotice | null = null;
  #underway: Promise<void> | null = null;
  #failures = 0;
  #notBeforeMs = 0;
  #retry: (() => void) | null = null;
  #complainedMs = -Infinity;
  /** Halved when a report is refused, to isolate the finding that causes the refusal. */
  #batchMax: number = LIMIT.findingsPerReportMax;
  /** After a refusal, the next report carries findings only. */
  #bare = false;
  /**
   * The only finding of a refused report. If a report without it is accepted, and it is refused
   * again, the finding is the cause and not the control plane.
   */
  #suspect: { seq: number; elseAccepted: boolean } | null = null;
  #finishing = false;
  ackedAtMs: number | null = null;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  heartbeat(): void {
    this.#due = true;
    this.pump();
  }

  /** Sent with the next report, which is sent now if `urgent`. */
  check(check: Check, urgent: boolean): void {
    this.#check = check;
    if (urgent) this.heartbeat();
  }

  /** Sent until a reply arrives; one result per command. */
  answer(result: CommandResult): void {
    const others = this.#results.filter((each) => each.command_id !== result.command_id);
    this.#results = [...others, result].slice(-RESULTS_MAX);
    this.pump();
  }

  pump(): void {
    if (this.#underway || this.#finishing || !this.#wanted()) return;
    const waitMs = this.#notBeforeMs - this.#parts.clock.monoMs();
    if (waitMs > 0) {
      this.#retry ??= this.#parts.clock.after(waitMs, () => {
        this.#retry = null;
        this.pump();
      });
      return;
    }
    // Without a pause, a bug would retry in an endless loop.
    const failed = (cause: unknown) => {
      this.#complain("a fault in the agent: a report could not be sent", String(cause));
      this.#pause();
    };
    this.#underway = this.#deliver()
      .catch(failed)
      .finally(() => {
        this.#underway = null;
        this.pump();
      });
  }

  /** Sends a last report without regard to pauses; ends by the deadline. */
  async finish(deadlineMs: number): Promise<void> {
    const { clock } = this.#parts;
    this.#retry?.();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(deadlineMs, resolve);
    const last = async () => {
      this.#finishing = true;
      await this.#underway;
      await this.#deliver();
    };
    await Promise.race([promise, last()]);
    cancel();
  }

  #wanted(): boolean {
    const { notice, spool } = this.#parts;
    const findings = spool.agreed && spool.stats().depth > 0;
    const isAnnounced = notice() !== null && notice() !== this.#told;
    return this.#due || isAnnounced || findings || this.#results.length > 0;
  }

  async #deliver(): Promise<void> {
    const { sender, spool } = this.#parts;
    const envelope = this.#parts.envelope();
    const text = envelope.inventory ? JSON.stringify(envelope.inventory) : "";
    const news = !this.#bare && text !== this.#known;
    const batch = this.#nextBatch();
    const check = this.#bare ? null : this.#check;
    const results = this.#bare ? [] : this.#results;
    const podToken = news && text !== "" ? this.#parts.podToken() : null;
    const notice = this.#parts.notice();
    if (check) this.#check = null;
    // What falls due while this report is under way needs one of its own.
    this.#due = false;
    const answer = await sender.send({
      ...envelope,
      stream: spool.stream as Report["stream"],
      inventory: news ? envelope.inventory : null,
      ...(podToken === null ? {} : { pod_token: podToken }),
      sample: this.#bare ? null : envelope.sample,
      check,
      findings: batch.findings,
      gaps: batch.gaps,
      results,
      ...(notice === null ? {} : { notice }),
    });
    if (answer.kind !== "reply") {
      this.#check ??= check;
      this.#failed(answer, batch);
      return;
    }
    const trial = this.#suspect?.elseAccepted === false;
    this.#suspect = trial && this.#suspect ? { ...this.#suspect, elseAccepted: true } : null;
    this.#due ||= this.#bare;
    this.#bare = trial;
    if (!trial) this.#batchMax = Math.min(LIMIT.findingsPerReportMax, this.#batchMax * 2);
    this.#results = this.#results.filter((result) => !results.includes(result));
    if (results.length > 0) this.#parts.delivered(results);
    if (news) this.#known = text;
    this.#told = notice;
    this.#accept(answer.reply, batch, news && text !== "");
  }

  #nextBatch(): SpoolBatch {
    const { spool } = this.#parts;
    // Until the control plane has confirmed its position in this stream, it could take new numbers
    // for old ones.
    const without = !spool.agreed || this.#suspect?.elseAccepted === false;
    if (without) return { findings: [], gaps: [], lastSeq: 0 };
    return spool.next(this.#batchMax, FINDING_BYTES_MAX);
  }

  #accept(reply: ReportReply, batch: SpoolBatch, carried: boolean): void {
    const { clock, heard, log, spool } = this.#parts;
    this.ackedAtMs = clock.wallMs();
    const wasAgreed = spool.agreed;
    const before = spool.acked;
    heard(reply);
    const deaf = wasAgreed && batch.lastSeq > before && spool.acked === before;
    if (deaf) log("warn", "a report was answered but not acknowledged");
    if (reply.want_inventory) this.#known = "";
    // A control plane that requests the inventory just sent, or acknowledges nothing, would cause
    // an endless loop.
    if (deaf || (reply.want_inventory && carried)) return this.#pause();
    this.#failures = 0;
    this.#notBeforeMs = 0;
    // Before the first check there is no inventory; that check sends it.
    if (reply.want_inventory && this.#parts.envelope().inventory) this.#due = true;
  }

  #failed(answer: Exclude<SendAnswer, { kind: "reply" }>, batch: SpoolBatch): void {
    switch (answer.kind) {
      case "unauthorized":
        this.#complain("the control plane refuses this node's credential", answer.message);
        break;
      case "throttled":
        this.#complain("report rate limit of the control plane exceeded", answer.message);
        this.#wait(answer.retryMs);
        return;
      case "unreachable":
        this.#complain("cannot reach the control plane", answer.message);
        break;
      case "refused":
        this.#complain("the control plane refuses a report", answer.message);
        this.#refused(answer.status, batch);
        return;
      default:
        unreachable(answer);
    }
    this.#pause();
  }

  /**
   * Isolates the cause of a refusal: findings alone are tried next, fewer each time. The last one
   * is discarded only if a report without it is accepted: a control plane may refuse everything.
   */
  #refused(status: number, batch: SpoolBatch): void {
    // The control plane may not know this node, and needs the inventory.
    this.#known = "";
    if (status === 404) return this.#pause();
    const wasBare = this.#bare;
    this.#bare = true;
    const count = batch.findings.length;
    if (count === 0) {
      this.#suspect = null;
      if (!wasBare) this.#check = null;
      return this.#pause();
    }
    const [only] = count === 1 && wasBare ? batch.findings : [];
    if (only && this.#suspect?.seq === only.seq) {
      this.#parts.spool.discard(only.seq);
      this.#suspect = null;
    } else {
      this.#suspect = only ? { seq: only.seq, elseAccepted: false } : null;
    }
    if (wasBare) this.#batchMax = Math.max(1, Math.floor(count / 2));
    const { clock, random } = this.#parts;
    this.#notBeforeMs = clock.monoMs() + NARROWING_MS * (0.5 + random());
    this.#due = true;
  }

  #pause(): void {
    const { clock, random } = this.#parts;
    const ms = Math.min(PAUSE_MS.max, PAUSE_MS.first * 2 ** Math.min(this.#failures, 16));
    this.#failures++;
    // Jitter: agents that lost the same server do not return together.
    this.#notBeforeMs = clock.monoMs() + ms * (0.5 + random() / 2);
    this.#due = true;
  }

  /** Waits as long as the control plane asks, within bounds. */
  #wait(askedMs: number): void {
    const { clock, random } = this.#parts;
    const ms = Math.min(PAUSE_MS.max, Math.max(WAIT_MS_MIN, askedMs));
    this.#notBeforeMs = clock.monoMs() + ms * (1 + random() / 4);
    this.#due = true;
  }

  #complain(message: string, reason: string): void {
    const now = this.#parts.clock.monoMs();
    if (now - this.#complainedMs < COMPLAINT_MS) return;
    this.#complainedMs = now;
    this.#parts.log("warn", message, { reason });
  }
}
