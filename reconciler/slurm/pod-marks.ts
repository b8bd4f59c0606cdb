/**
 * Drains and releases nodes whose pods are to go or are needed again (`core/slurm/pod-scale.ts`).
 * Nodes are read directly before a write, and only those that it is for are written.
 */
import type { SlurmAnswer, SlurmClient } from "../core/slurm/client.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { isPodHeld, isPodMarked, type PodSight } from "../core/slurm/pod-scale.ts";
import type { PodNodes } from "../core/slurm/sink.ts";

/** Of single nodes for one look. */
const READS_MAX = 8;

export class PodMarks implements PodNodes {
  readonly #client: SlurmClient;
  /** Lists soon, so that what was written is seen. */
  readonly #hurry: () => void;
  readonly #await: (names: ReadonlySet<string>) => void;

  constructor(
    client: SlurmClient,
    hurry: () => void,
    attend: (names: ReadonlySet<string>) => void,
  ) {
    this.#client = client;
    this.#hurry = hurry;
    this.#await = attend;
  }

  attend(names: ReadonlySet<string>): void {
    this.#await(names);
  }

  /** Nodes first, then jobs: none starts on a node that was drained before. */
  async look(of: (name: string) => boolean): Promise<SlurmAnswer<PodSight>> {
    const nodes = await this.#client.nodes();
    if (nodes.kind !== "ok") return nodes;
    const jobs = await this.#client.jobs();
    if (jobs.kind !== "ok") return jobs;
    // A list of all may call a free node MIXED for long; a read of one is always as it is.
    const worked = new Set(jobs.value.flatMap((job) => job.nodes));
    const odd = nodes.value.filter(({ name, base }) => {
      return of(name) && /^(?:MIXED|ALLOCATED)$/.test(base) && !worked.has(name);
    });
    const value = { nodes: nodes.value, jobs: jobs.value };
    if (odd.length === 0) return { kind: "ok", value };
    const read = await this.#client.nodes(odd.slice(0, READS_MAX).map(({ name }) => name));
    if (read.kind !== "ok") return { kind: "ok", value };
    const fresh = new Map(read.value.map((row) => [row.name, row]));
    const rows = nodes.value.map((row) => fresh.get(row.name) ?? row);
    return { kind: "ok", value: { ...value, nodes: rows } };
  }

  drain(names: readonly string[], reason: string, may: () => boolean): Promise<SlurmAnswer<null>> {
    return this.#write(names, may, (rows) => {
      const open = rows.filter((row) => !isPodHeld(row) && !isPodMarked(row));
      return [{ rows: open, change: { state: "drain", reason } }];
    });
  }

  /** Slurm sets DOWN and keeps the reason when a drained node's slurmd goes. */
  release(names: readonly string[], may: () => boolean): Promise<SlurmAnswer<null>> {
    return this.#write(names, may, (rows) => {
      const own = rows.filter(isPodMarked);
      return [
        { rows: own.filter(({ base }) => base === "DOWN"), change: { state: "resume" } },
        { rows: own.filter(({ base }) => base !== "DOWN"), change: { state: "undrain" } },
      ];
    });
  }

  async #write(
    names: readonly string[],
    may: () => boolean,
    changes: (rows: readonly SlurmNode[]) => Change[],
  ): Promise<SlurmAnswer<null>> {
    const wanted = new Set(names);
    const listed = await this.#client.nodes();
    if (listed.kind !== "ok") return listed;
    for (const { rows, change } of changes(listed.value.filter(({ name }) => wanted.has(name)))) {
      if (rows.length === 0) continue;
      if (!may()) return { kind: "refused", message: "this process no longer leads" };
      const answer = await this.#client.update(
        rows.map(({ name }) => name),
        change,
      );
      if (answer.kind !== "ok") return answer;
    }
    this.#hurry();
    return { kind: "ok", value: null };
  }
}

type Change = { rows: readonly SlurmNode[]; change: Parameters<SlurmClient["update"]>[1] };
