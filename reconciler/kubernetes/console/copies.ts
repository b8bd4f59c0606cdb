/**
 * Copies of the cluster's objects for the console. They are opened by the first read and closed
 * when nothing was read for a while: an idle console costs the API server nothing, and a page that
 * is open costs it one watch of each collection.
 */
import type { Failed } from "../../core/console/cluster.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { pause } from "../../core/turn/time-limit.ts";
import type { KubeApi } from "../api.ts";
import { Reflector, type ReflectorOptions } from "../reflector.ts";
import { type HeldPod, readConsolePod } from "./read-pod.ts";
import * as read from "./read-object.ts";

export type CopyPorts = { api: KubeApi; clock: Clock; random: () => number; log: Log };

/** A first list of 150,000 pods takes longer than a person waits; the next read finds it. */
const FIRST_MS = 8_000;
const LOOK_MS = 20;
const IDLE_MS = 5 * 60_000;
/** A copy whose watch fails for longer is not shown as if it were current. */
const TROUBLED_MS = 5_000;
/** A copy that heard nothing for longer is shown only if the server answers. */
const QUIET_MS = 10_000;
const PROBE_MS = 3_000;
/** A list and a watch that ended well need no other proof for this long. */
const PROVEN_MS = 5_000;

const KINDS = ["pods", "nodes", "deployments", "services", "events", "claims", "volumes"] as const;
export type CopyKind = (typeof KINDS)[number];

type Copy = { start(): void; stop(): void; synced(): boolean; problem: string | null } & {
  forbidden: boolean;
  ageMs(): number;
};

export class Copies {
  readonly #ports: CopyPorts;
  readonly pods: Reflector<HeldPod>;
  readonly nodes: Reflector<read.HeldNode>;
  readonly deployments: Reflector<read.HeldDeployment>;
  readonly services: Reflector<read.HeldService>;
  readonly events: Reflector<read.HeldEvent>;
  readonly claims: Reflector<read.HeldVolume>;
  readonly volumes: Reflector<read.HeldVolume>;
  #readMs = Number.NEGATIVE_INFINITY;
  #provenMs = Number.NEGATIVE_INFINITY;
  #probing: Promise<Failed | null> | null = null;
  readonly #open = new Set<CopyKind>();
  #cancel: (() => void) | null = null;
  #isClosed = false;

  constructor(ports: CopyPorts) {
    this.#ports = ports;
    // Failures are answers to a person, so the log need not repeat them.
    const common = { ...ports, log: () => undefined, query: {}, changed: () => undefined };
    const of = (path: string) => ({ ...common, path });
    this.pods = new Reflector({ ...of("/api/v1/pods"), read: readConsolePod });
    this.nodes = new Reflector({ ...of("/api/v1/nodes"), read: read.readConsoleNode });
    this.deployments = new Reflector({
      ...of("/apis/apps/v1/deployments"),
      read: read.readDeployment,
    });
    this.services = new Reflector({ ...of("/api/v1/services"), read: read.readService });
    this.events = new Reflector({ ...of("/api/v1/events"), read: read.readEvent });
    this.claims = new Reflector({
      ...of("/api/v1/persistentvolumeclaims"),
      read: read.readClaim,
    } satisfies ReflectorOptions<read.HeldVolume>);
    this.volumes = new Reflector({ ...of("/api/v1/persistentvolumes"), read: read.readVolume });
  }

  /** Waits until these are copied and current; why they are not, or `null`. */
  async current(...kinds: CopyKind[]): Promise<Failed | null> {
    if (this.#isClosed) return failed("unavailable", "this process no longer leads; ask again");
    const { clock } = this.#ports;
    this.#readMs = clock.monoMs();
    for (const kind of kinds) {
      if (!this.#open.has(kind)) this[kind].start();
      this.#open.add(kind);
    }
    this.#watchIdle();
    const endMs = clock.monoMs() + FIRST_MS;
    for (const kind of kinds) {
      const why = await this.#wait(kind, endMs);
      if (why !== null) return why;
    }
    const quietMs = Math.max(...kinds.map((kind) => this[kind].ageMs()));
    return quietMs < QUIET_MS ? null : this.#probe();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#stop();
  }

  async #wait(kind: CopyKind, endMs: number): Promise<Failed | null> {
    const { clock } = this.#ports;
    const copy: Copy = this[kind];
    while (!copy.synced()) {
      const { problem } = copy;
      if (problem !== null) return failedCopy(kind, problem);
      if (clock.monoMs() >= endMs || this.#isClosed) {
        const why = `the cluster's ${kind} are not listed yet after ${FIRST_MS / 1_000} s`;
        return failed("cluster_slow", `${why}; ask again`);
      }
      await pause(clock, LOOK_MS);
    }
    const { problem } = copy;
    return problem !== null && copy.ageMs() > TROUBLED_MS ? failedCopy(kind, problem) : null;
  }

  /** A quiet watch proves nothing about a server that hangs; a call does. */
  #probe(): Promise<Failed | null> {
    const { clock } = this.#ports;
    if (clock.monoMs() - this.#provenMs < PROVEN_MS) return Promise.resolve(null);
    this.#probing ??= this.#askVersion().finally(() => (this.#probing = null));
    return this.#probing;
  }

  async #askVersion(): Promise<Failed | null> {
    const { api, clock } = this.#ports;
    const path = "/version";
    const answer = await api.call({ verb: "get", path, timeoutMs: PROBE_MS, lane: "read" });
    if (answer.kind === "lost") return lostAnswer(answer.message);
    this.#provenMs = clock.monoMs();
    return null;
  }

  #watchIdle(): void {
    const { clock } = this.#ports;
    this.#cancel ??= clock.after(IDLE_MS, () => {
      this.#cancel = null;
      if (clock.monoMs() - this.#readMs < IDLE_MS) this.#watchIdle();
      else this.#stop();
    });
  }

  #stop(): void {
    for (const kind of this.#open) this[kind].stop();
    this.#open.clear();
  }
}

export const failed = (code: Failed["code"], message: string): Failed => ({
  kind: "failed",
  code,
  message,
});

const SLOW = /^(?:no answer in|no free connection|silent for)/;

/** No answer came, so the outcome is unknown. */
export function lostAnswer(message: string): Failed {
  const code = SLOW.test(message) ? "cluster_slow" : "cluster_unreachable";
  return failed(code, `the Kubernetes API server does not answer: ${message}`);
}

function failedCopy(kind: CopyKind, problem: string): Failed {
  const code = SLOW.test(problem) ? "cluster_slow" : "cluster_unreachable";
  return failed(code, `cannot list the cluster's ${kind}: ${problem}`);
}
