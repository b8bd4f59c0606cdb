/** The cluster without its actions. Pure. */
import type { Asked, ConsoleCluster } from "./cluster.ts";

/** Reads as `cluster` does; every action is refused with `why`. */
export function withoutActions(cluster: ConsoleCluster, why: string): ConsoleCluster {
  const refused = (): Promise<Asked<string>> => {
    return Promise.resolve({ kind: "failed", code: "conflict", message: why });
  };
  return {
    stats: (of) => cluster.stats(of),
    pods: (query) => cluster.pods(query),
    pod: (ref) => cluster.pod(ref),
    nodes: () => cluster.nodes(),
    deployments: (of) => cluster.deployments(of),
    events: (query) => cluster.events(query),
    namespaces: () => cluster.namespaces(),
    logs: (query) => cluster.logs(query),
    follow: (query, signal) => cluster.follow(query, signal),
    restart: refused,
    kill: refused,
    flux: () => cluster.flux(),
    hpas: () => cluster.hpas(),
    knownHpas: () => cluster.knownHpas(),
    actOnFlux: refused,
    close: () => cluster.close(),
  };
}
