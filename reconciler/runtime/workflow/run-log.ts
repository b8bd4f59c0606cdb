/**
 * What a run told so far, numbered, for followers that come, leave and come back. Lines are
 * bounded: the oldest go first, and a follower learns how many it missed.
 */
import type { WorkflowEvent, WorkflowEventsPage } from "../../../schema/workflow.ts";
import type { Clock } from "../../core/clock.ts";

/** A workflow of a thousand tasks tells about three thousand events. */
const EVENTS_MAX = 5_000;
const CHARS_MAX = 512 * 1_024;
const LINE_CHARS_MAX = 4_000;
/** Events of one answer. */
const PAGE_MAX = 1_000;

type Unnumbered<E> = E extends { seq: number } ? Omit<E, "seq"> : never;
type Told = Unnumbered<WorkflowEvent>;

export class RunLog {
  readonly #clock: Pick<Clock, "after">;
  readonly #events: WorkflowEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #seq = 0;
  #chars = 0;
  #ended = false;

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  tell(told: Told): void {
    const event: WorkflowEvent = { ...told, seq: ++this.#seq };
    if (event.kind === "line") event.text = event.text.slice(0, LINE_CHARS_MAX);
    this.#events.push(event);
    this.#chars += charsOf(event);
    while (this.#events.length > EVENTS_MAX || this.#chars > CHARS_MAX) {
      const [oldest] = this.#events.splice(0, 1);
      if (oldest === undefined) break;
      this.#chars -= charsOf(oldest);
    }
    this.#wake();
  }

  /** Nothing follows. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  page(after: number): WorkflowEventsPage {
    const first = this.#events[0]?.seq ?? this.#seq + 1;
    const from = Math.max(0, after + 1 - first);
    const events = this.#events.slice(from, from + PAGE_MAX);
    const next = events.at(-1)?.seq ?? Math.min(after, this.#seq);
    const dropped = events.length === 0 ? 0 : Math.max(0, first - after - 1);
    return { events, dropped, next, ended: this.#ended && next === this.#seq };
  }

  /** Resolves when there is something after `after`, at the end, or after `ms`. */
  async wait(after: number, ms: number): Promise<void> {
    if (this.#seq > after || this.#ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(ms, resolve);
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    cancel();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}

/** About what it takes in memory. */
function charsOf(event: WorkflowEvent): number {
  const fixed = 100;
  if (event.kind === "line") return fixed + event.text.length;
  return fixed + ((event.kind === "task" ? event.task.error : event.error)?.length ?? 0);
}
