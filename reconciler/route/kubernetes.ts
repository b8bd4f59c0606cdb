/** What the product knows of the Kubernetes cluster, and what it may not do there. */
import type { KubernetesView, PermissionsView } from "../../schema/api.ts";
import { joinsCluster } from "../../bootstrap/template/join-need.ts";
import { needs, refuse, type App, type RoutePorts } from "./app.ts";

export function kubernetesRoutes(api: App, { reconciler }: RoutePorts): void {
  api.get("/kubernetes", needs("viewer"), (c) => {
    const { cluster, alarms } = reconciler.cluster();
    const nodes = reconciler.fleet().nodes.values();
    let matched = 0;
    for (const { kube } of nodes) if (kube !== null && kube.absentSince === null) matched++;
    const standing = cluster?.standing() ?? null;
    const view: KubernetesView = {
      attached: cluster !== null,
      server: standing?.server ?? null,
      nodes: standing?.nodes ?? 0,
      pods: standing?.pods ?? 0,
      matched,
      age_ms: standing?.ageMs ?? null,
      dark: cluster?.dark() ?? null,
      writes_per_second: standing?.writesPerSecond ?? 0,
      draining: standing?.draining ?? 0,
      forbidden: standing?.forbidden ?? [],
      alarms: [...alarms, ...(standing?.doubts ?? [])],
    };
    return c.json(view);
  });
  api.get("/kubernetes/permissions", needs("viewer"), async (c) => {
    const { cluster } = reconciler.cluster();
    if (cluster === null) return c.json({ attached: false, missing: [] } satisfies PermissionsView);
    const { pools } = reconciler.activeConfig();
    const joins = pools.some(({ bootstrap }) => joinsCluster(bootstrap.setupCommands));
    const answer = await cluster.missing(joins);
    if (answer.kind === "failed") return refuse(c, "unavailable", answer.message);
    const view: PermissionsView = { attached: true, missing: answer.rules };
    return c.json(view);
  });
}
