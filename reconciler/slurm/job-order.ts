/**
 * Requeues or signals jobs of one node, as the queue shows them directly before: Slurm knows no
 * fence, so a job that ends and starts elsewhere in those milliseconds is reached there.
 */
import type { SlurmClient } from "../core/slurm/client.ts";
import { isEndable } from "../core/slurm/left.ts";
import type { SlurmJob } from "../core/slurm/object.ts";
import type { JobsTold } from "../core/slurm/sink.ts";

/** `signal` null = requeue. */
export type JobOrder = { jobs: readonly string[]; signal: string | null };

/** A repeat of an order whose answer was lost finds what that one requeued elsewhere. */
const NONE_THERE =
  "no job was told now: those it names ended, or an earlier try of this order requeued them";

type Where = { name: string; isLate: () => string | null };

export async function tellJobs(
  client: SlurmClient,
  { name, isLate }: Where,
  { jobs, signal }: JobOrder,
): Promise<JobsTold> {
  const listed = await client.jobs();
  if (listed.kind !== "ok") return { kind: "ambiguous", message: listed.message };
  const there = listed.value.filter((job) => {
    return jobs.includes(job.id) && job.nodes.includes(name) && isEndable(job);
  });
  const late = isLate();
  if (late !== null) return { kind: "ambiguous", message: late };
  if (there.length === 0) return { kind: "ok", told: NONE_THERE };
  if (signal === null) return requeue(client, there, isLate);
  const answer = await client.signal(
    there.map(({ id }) => id),
    signal,
  );
  if (answer.kind === "failed") return { kind: "ambiguous", message: answer.message };
  const sent = `SIG${signal} was sent to ${sayJobs(there)}`;
  return { kind: "ok", told: answer.kind === "ok" ? sent : `${sent}: ${answer.message}` };
}

/** One call each: Slurm refuses jobs that are interactive, or that `--no-requeue` submitted. */
async function requeue(
  client: SlurmClient,
  jobs: readonly SlurmJob[],
  isLate: () => string | null,
): Promise<JobsTold> {
  const done: SlurmJob[] = [];
  const not: string[] = [];
  const wholes = new Set<string>();
  for (const job of jobs) {
    // All parts of a heterogeneous job are requeued with one of them.
    const [whole = job.id, part] = job.id.split("+");
    if (part !== undefined && wholes.has(whole)) continue;
    wholes.add(whole);
    const late = isLate();
    if (late !== null) return { kind: "ambiguous", message: late };
    const answer = await client.requeue(job.id, false);
    if (answer.kind === "failed") return { kind: "ambiguous", message: answer.message };
    if (answer.kind === "ok") done.push(job);
    else not.push(`${job.id} (${answer.message})`);
  }
  const told = done.length === 0 ? [] : [`requeued ${sayJobs(done)}`];
  const refused = not.length === 0 ? [] : [`Slurm does not requeue ${not.join(", ")}`];
  return { kind: "ok", told: [...told, ...refused].join("; ") };
}

/** As in `jobs 4, 7 (on 2 nodes)`. */
function sayJobs(jobs: readonly SlurmJob[]): string {
  const ids = jobs.map(({ id, nodes }) => {
    return nodes.length > 1 ? `${id} (on ${nodes.length} nodes)` : id;
  });
  return `${jobs.length === 1 ? "job" : "jobs"} ${ids.join(", ")}`;
}
