/**
 * Detects a stuck agent: the probe loop must get an answer, and the sender must finish an attempt,
 * each within its limit. A hung driver and an unreachable control plane are answers. Pure but for
 * its memory.
 */
import type { AgentConfig } from "../../schema/report.ts";
import { boundCadence, CADENCE } from "../report/cadence.ts";
import { PAUSE_MS } from "../report/delivery.ts";
import type { Clock, Nvml, SendAnswer, Sender } from "../port/port.ts";
import { SEND_TIMEOUT_MS } from "../report/send.ts";

/** Tolerance for late timers: a fully loaded machine runs them seconds late. */
const SLACK_MS = 10_000;
/** A sample waits for a running check: 8 s for its start, then its own deadline. */
const PROBE_MS = 13_000;
/** Fetching the authority, joining, connecting, sending: each with its own deadline. */
const SEND_MS = 4 * SEND_TIMEOUT_MS;

export class Progress {
  readonly #clock: Clock;
  #cadence: AgentConfig = CADENCE;
  #probedMs: number;
  #sentMs: number;
  /** Start of the attempt under way. */
  #sendingMs: number | null = null;
  #begun: () => void = () => {};
  /** Answer to the last report; `null` before the first. */
  lastAnswer: SendAnswer["kind"] | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#probedMs = clock.monoMs();
    this.#sentMs = clock.monoMs();
  }

  /** Calls `begun` once, at the next answer of the probe loop. */
  whenBegun(begun: () => void): void {
    this.#begun = begun;
  }

  /** Why the agent is stuck, or `null`. */
  stuck(): string | null {
    const now = this.#clock.monoMs();
    const { sample_ms, heartbeat_ms } = this.#cadence;
    const late = (what: string, sinceMs: number, mostMs: number) => {
      const ms = now - sinceMs;
      return ms > mostMs + SLACK_MS ? `${what} ${Math.round(ms / 1_000)} s` : null;
    };
    const unprobed = late("no probe for", this.#probedMs, sample_ms + PROBE_MS);
    if (unprobed !== null) return unprobed;
    const sendingMs = this.#sendingMs;
    if (sendingMs !== null) return late("a report is under way for", sendingMs, SEND_MS);
    return late("no report was sent for", this.#sentMs, heartbeat_ms + PAUSE_MS.max);
  }

  /** The same library; notes its answers. */
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

  /** The same sender; notes attempts and the ordered cadence. */
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

  /** A new cadence restarts the limits: under the old one, a longer pause was correct. */
  #setCadence(config: AgentConfig): void {
    const next = boundCadence(config);
    if (Bun.deepEquals(next, this.#cadence)) return;
    this.#cadence = next;
    this.#probedMs = this.#clock.monoMs();
    this.#sentMs = this.#clock.monoMs();
  }
}
