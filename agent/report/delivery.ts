/**
 * What goes into the next report and when it goes. One report is under way at a time; findings go
 * in order and stay in the spool until acknowledged; a failed delivery is tried again with growing,
 * scattered pauses, for ever.
 */
import type { Check, CommandResult, Report, ReportReply } from "../../schema/report.ts";
import { LIMIT } from "../../schema/limit.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock, SendAnswer, Sender } from "../port.ts";
import type { Spool, SpoolBatch } from "../spool/spool.ts";

/**
 * Half of what a report may have: inventory, sample and check of 64 GPUs take less than the rest.
 */
const FINDING_BYTES_MAX = LIMIT.reportBytesMax / 2;
export const PAUSE_MS = { first: 1_000, max: LIMIT.agentPauseMsMax };
/** Between the attempts that look for a refused finding: the server lives, so it need not grow. */
const NARROWING_MS = 500;
/** The shortest pause that a control plane can ask for. */
const WAIT_MS_MIN = 100;
/** Refused secrets and lost servers are told once a minute. */
const COMPLAINT_MS = 60_000;
/** The contract's bound of `results`. */
const RESULTS_MAX = 32;

type Envelope = Omit<
  Report,
  "stream" | "check" | "findings" | "gaps" | "results" | "pod_token"
>;

export type DeliveryParts = {
  clock: Clock;
  sender: Sender;
  spool: Spool;
  random: () => number;
  log: (level: "info" | "warn", message: string, fields?: Record<string, unknown>) => void;
  /** Everything but what the delivery itself decides; `inventory` is left out when it is known. */
  envelope: () => Envelope;
  /** Goes with the inventory: see `pod_token` of `Report`. */
  podToken: () => string | null;
  heard: (reply: ReportReply) => void;
  /** The control plane has taken these results. */
  delivered: (results: readonly CommandResult[]) => void;
};

export class Delivery {
  readonly #parts: DeliveryParts;
  #due = false;
  /** A check that no report has carried yet; a newer one takes its place. */
  #check: Check | null = null;
  #results: CommandResult[] = [];
  /** Text of the inventory that the control plane has; another one is sent. */
  #known = "";
  #underway: Promise<void> | null = null;
  #failures = 0;
  #notBeforeMs = 0;
  #retry: (() => void) | null = null;
  #complainedMs = -Infinity;
  /** Halved when a report is refused, so that the one finding in it that is the reason is found. */
  #batchMax: number = LIMIT.findingsPerReportMax;
  /**
   * After a refusal: the next report carries findings and nothing else, so that they are not held
   * up.
   */
  #bare = false;
  /**
   * The one finding of a refused report. A report without it comes next; if that is accepted and
   * this one then refused again, it is to blame and not the control plane.
   */
  #suspect: { seq: number; elseAccepted: boolean } | null = null;
  #finishing = false;
  ackedAtMs: number | null = null;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** A report is due, whatever else there is to say. */
  heartbeat(): void {
    this.#due = true;
    this.pump();
  }

  /** Travels with the next report, which goes now if `urgent`. */
  check(check: Check, urgent: boolean): void {
    this.#check = check;
    if (urgent) this.heartbeat();
  }

  /** Sent until a reply came; once per command. */
  answer(result: CommandResult): void {
    const others = this.#results.filter((each) => each.command_id !== result.command_id);
    this.#results = [...others, result].slice(-RESULTS_MAX);
    this.pump();
  }

  /** Sends if there is something to send and nothing forbids it. */
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
    // Whatever went wrong must not be tried again at once: it would be for ever, and nothing else.
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

  /** One last report, pause or not; ends by the deadline. */
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
    const { spool } = this.#parts;
    const findings = spool.agreed && spool.stats().depth > 0;
    return this.#due || findings || this.#results.length > 0;
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
    if (check) this.#check = null;
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
    });
    if (answer.kind !== "reply") {
      // A check that says the same later is still true then; a newer one takes its place.
      this.#check ??= check;
      this.#failed(answer, batch);
      return;
    }
    const trial = this.#suspect?.elseAccepted === false;
    this.#suspect = trial && this.#suspect ? { ...this.#suspect, elseAccepted: true } : null;
    this.#due = this.#bare;
    this.#bare = trial;
    if (!trial) this.#batchMax = Math.min(LIMIT.findingsPerReportMax, this.#batchMax * 2);
    this.#results = this.#results.filter((result) => !results.includes(result));
    if (results.length > 0) this.#parts.delivered(results);
    if (news) this.#known = text;
    this.#accept(answer.reply, batch, news && text !== "");
  }

  #nextBatch(): SpoolBatch {
    const { spool } = this.#parts;
    // Until the control plane has said how far it knows this stream, numbers could be taken for old
    // ones.
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
    // Asked for what it has just been given, or given no acknowledgement, it would be asked for
    // ever.
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
   * Something in the report is to blame. Findings alone are tried next, fewer each time; the last
   * one left is given up only if a report without it is accepted in between, for a control plane
   * may refuse everything.
   */
  #refused(status: number, batch: SpoolBatch): void {
    // It may know nothing of this node: then the inventory is what it needs, not less of the rest.
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
    // Half fixed, half scattered: agents that lost the same server do not come back together.
    this.#notBeforeMs = clock.monoMs() + ms * (0.5 + random() / 2);
    this.#due = true;
  }

  /** As long as the control plane asks, within the bounds of a pause of our own. */
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
