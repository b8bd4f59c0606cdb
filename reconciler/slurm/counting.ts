/** Counts the calls of a client by their answer. */
import type { SlurmAnswer, SlurmClient } from "../core/slurm/client.ts";

export type CountCall = (verb: string, outcome: SlurmAnswer<never>["kind"]) => void;

export function countCalls(client: SlurmClient, count: CountCall): SlurmClient {
  const counted = async <T>(verb: string, asked: Promise<SlurmAnswer<T>>) => {
    const answer = await asked;
    count(verb, answer.kind);
    return answer;
  };
  return {
    describe: () => client.describe(),
    nodes: (names) => counted(names === undefined ? "list" : "read", client.nodes(names)),
    jobs: () => counted("jobs", client.jobs()),
    reservations: () => counted("reservations", client.reservations()),
    update: (names, change) => counted(change.state ?? "update", client.update(names, change)),
    remove: (names) => counted("remove", client.remove(names)),
    requeue: (job, hold) => counted("requeue", client.requeue(job, hold)),
    signal: (job, signal) => counted("signal", client.signal(job, signal)),
  };
}
