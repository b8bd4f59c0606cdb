/**
 * Watches for the announced end of this machine, which some clouds tell the machine alone. A
 * metadata service that does not answer is no finding, and is asked rarely.
 */
import type { AgentNotice } from "../../schema/report.ts";
import type { Clock } from "../port/port.ts";

export type NoticeAnswer =
  | { kind: "nothing" }
  | { kind: "notice"; notice: AgentNotice }
  /** No service, or one that refuses. */
  | { kind: "silent"; why: string }
  /** The service answered something that is not documented. */
  | { kind: "unread"; why: string };

/** One question to the metadata service; never rejects, and answers in seconds. */
export type AskNotice = () => Promise<NoticeAnswer>;

/** As AWS recommends; Compute Engine leaves 30 s. */
export const POLL_MS = 5_000;
/** While the service has never answered, or no longer answers. */
export const RARE_MS = 60_000;
/** So many questions without an answer make it a silent one. */
const SILENT_MAX = 3;

export type NoticeParts = {
  ask: AskNotice;
  clock: Pick<Clock, "after">;
  log: (level: "info" | "warn", message: string, fields?: Record<string, unknown>) => void;
};

export class NoticeWatch {
  readonly #parts: NoticeParts;
  #notice: AgentNotice | null = null;
  #missed = 0;
  #complaint: string | null = null;

  constructor(parts: NoticeParts) {
    this.#parts = parts;
  }

  /** What is announced now; the same object until it changes. */
  get notice(): AgentNotice | null {
    return this.#notice;
  }

  /** Asks now and for ever; `tell` is called for each new notice. */
  async start(tell: () => void): Promise<void> {
    const answer = await this.#parts.ask();
    this.#missed = answer.kind === "silent" ? this.#missed + 1 : 0;
    this.#complain(answer);
    if (answer.kind === "nothing") this.#notice = null;
    if (answer.kind === "notice" && !Bun.deepEquals(answer.notice, this.#notice)) {
      this.#notice = answer.notice;
      this.#parts.log("warn", "the cloud announces the end of this machine", answer.notice);
      tell();
    }
    const waitMs = this.#missed >= SILENT_MAX ? RARE_MS : POLL_MS;
    this.#parts.clock.after(waitMs, () => void this.start(tell));
  }

  /** Once for each reason, until there is an answer again. */
  #complain(answer: NoticeAnswer): void {
    const why = "why" in answer ? answer.why : null;
    if (why !== null && why !== this.#complaint) {
      const level = answer.kind === "unread" ? "warn" : "info";
      this.#parts.log(level, "cannot read interruption notices", { reason: why });
    }
    this.#complaint = why;
  }
}
