/**
 * Does the agent get on? It does as long as each of its two loops did something within the time
 * that it may take: the probe loop got an answer, whatever it was, and the sender tried a report
 * and ended the try. A hung driver and a lost control plane are answers; only a loop that stands
 * still is none. Pure but for its memory.
 */
import type { AgentConfig } from "../../schema/report.ts";
import { boundCadence, CADENCE } from "../report/cadence.ts";
import { PAUSE_MS } from "../report/delivery.ts";
import type { Clock, Nvml, SendAnswer, Sender } from "../port.ts";
import { SEND_TIMEOUT_MS } from "../report/send.ts";

/**
 * How late a loop may be before it counts as stuck. A machine whose cores are all taken runs timers
 * seconds late; what this costs is that a real stop is found so much later.
 */
const SLACK_MS = 10_000;
/** A sample waits for a check that is under way: 8 s to start in, then its own deadline. */
const PROBE_MS = 13_000;
/** The authority to trust, joining, connecting, asking: each with its own deadline, in a row. */
const SEND_MS = 4 * SEND_TIMEOUT_MS;

export class Progress {
  readonly #clock: Clock;
  #cadence: AgentConfig = CADENCE;
  #probedMs: number;
  #sentMs: number;
  /** Since when a report is under way. */
  #sendingMs: number | null = null;
  #begun: () => void = () => {};
  /** What became of the last report; `null` before the first. */
  lastAnswer: SendAnswer["kind"] | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#probedMs = clock.monoMs();
    this.#sentMs = clock.monoMs();
  }

  /** `begun` is called once, by the first answer of the probe loop from now on. */
  whenBegun(begun: () => void): void {
    this.#begun = begun;
  }

  /** Why the agent does not get on, or `null` while it does. */
  stuck(): string | null {
    const now = this.#clock.monoMs();
    const { sample_ms, heartbeat_ms } = this.#cadence;
    const print = (what: string, sinceMs: number) => `${what} ${Math.round(sinceMs / 1_000)} s`;
    const unprobed = now - this.#probedMs;
    if (unprobed > sample_ms + PROBE_MS + SLACK_MS) return print("no probe for", unprobed);
    if (this.#sendingMs !== null) {
      const sending = now - this.#sendingMs;
      return sending > SEND_MS + SLACK_MS ? print("a report is under way for", sending) : null;
    }
    const unsent = now - this.#sentMs;
    const mostMs = heartbeat_ms + PAUSE_MS.max + SLACK_MS;
    return unsent > mostMs ? print("no report was tried for", unsent) : null;
  }

  /** The same library, with an eye on its answers. */
  followNvml(nvml: Nvml): Nvml {
    const seen = <T>(answer: T): T => {
      this.#probedMs = this.#clock.monoMs();
      const begun = this.#begun;
      this.#begun = () => {};
      begun();
      return answer;
    };
    return {
      simulated: nvml.simulated,
      sample: (deadlineMs) => nvml.sample(deadlineMs).then(seen),
      check: (deadlineMs) => nvml.check(deadlineMs).then(seen),
      takeEvents: () => nvml.takeEvents(),
      close: () => nvml.close(),
    };
  }

  /** The same way to the control plane, with an eye on its calls and on the cadence it orders. */
  followSender(sender: Sender): Sender {
    return {
      send: async (report) => {
        this.#sendingMs = this.#clock.monoMs();
        const answer = await sender.send(report);
        this.#sendingMs = null;
        this.#sentMs = this.#clock.monoMs();
        this.lastAnswer = answer.kind;
        if (answer.kind === "reply") this.#setCadence(answer.reply.config);
        return answer;
      },
      listen: (heard) =>
        sender.listen((reply) => {
          this.#setCadence(reply.config);
          heard(reply);
        }),
      connected: () => sender.connected(),
      close: () => sender.close(),
    };
  }

  /** A new one begins a new count: under the old one a loop may have rested longer than it may. */
  #setCadence(config: AgentConfig): void {
    const next = boundCadence(config);
    if (Bun.deepEquals(next, this.#cadence)) return;
    this.#cadence = next;
    this.#probedMs = this.#clock.monoMs();
    this.#sentMs = this.#clock.monoMs();
  }
}
