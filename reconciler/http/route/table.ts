/**
 * Every route of the control plane, in the order in which a path is looked for: of two that fit,
 * the first one answers. Only what opens the application, or documents it, reads this list.
 */
import type { Span } from "../../core/trace.ts";
import { type Act, actOf } from "../../security/audit/act.ts";
import { adminRoutes } from "./admin.ts";
import { agentPoolRoutes } from "./agentpool.ts";
import { agentRoutes } from "./agent.ts";
import { allocationRoutes } from "./allocation.ts";
import { auditRoutes } from "./audit.ts";
import { autoscalingPages } from "./autoscaling-page.ts";
import { configRoutes } from "./config.ts";
import { consoleKubernetesRoutes } from "./console-kubernetes.ts";
import { consoleNodeRoutes } from "./console-node.ts";
import { costRoutes } from "./cost.ts";
import { deploymentActions, deploymentPages } from "./deployment-page.ts";
import { fleetActions } from "./fleet-action.ts";
import { fleetPages } from "./fleet-page.ts";
import type { Followed } from "./follower.ts";
import { historyRoutes } from "./history.ts";
import { hpaEventRoutes } from "./hpa-event.ts";
import { installRoutes } from "./install.ts";
import { joinRoutes } from "./join.ts";
import { kubernetesRoutes } from "./kubernetes.ts";
import { linkRoutes, type LoginLinks } from "./link.ts";
import { logRoutes } from "./console-log.ts";
import { loginRoutes } from "./login.ts";
import { nodeRoutes } from "./node.ts";
import { openApiRoutes, referencePages } from "./openapi.ts";
import { otherFleetRoutes } from "./other-fleet.ts";
import { overviewPages, safetyActions } from "./overview-page.ts";
import { type AnyPage, assetRoutes, type ConsolePages, pageRoutes } from "./page.ts";
import { pipelineRoutes } from "./pipeline.ts";
import { poolRoutes } from "./pool.ts";
import { poolSizeRoutes } from "./pool-size.ts";
import { probeRoutes } from "./probe.ts";
import { queueRoutes } from "./queue.ts";
import { restPoolRoutes } from "./rest-pool.ts";
import { matchPath, type Route, V1_ALIAS } from "./route.ts";
import { safetyRoutes } from "./safety.ts";
import { simulationRoutes } from "./simulation.ts";
import { slurmRoutes } from "./slurm.ts";
import { tokenRoutes } from "./token.ts";
import { upgradeRoutes } from "./upgrade.ts";
import { workflowRoutes } from "./workflow.ts";
import type { ConsolePorts } from "./console-cluster.ts";
import type { QueuePorts } from "./queue.ts";
import type { NodePorts } from "./node.ts";
import type { SimulationPorts } from "./simulation.ts";
import type { AgentPorts } from "./agent.ts";
import type { WorkflowPorts } from "./workflow.ts";
import type { AdminPorts } from "./admin.ts";
import type { ProbePorts } from "./probe.ts";
import type { Served } from "./release-folder.ts";
import type { PagePorts } from "./page.ts";

/** What the process gives the application. */
export type GivenPorts = AgentPorts &
  NodePorts &
  SimulationPorts &
  QueuePorts &
  ConsolePorts &
  Served &
  Pick<WorkflowPorts, "workflows"> &
  Pick<ProbePorts, "notReady" | "caPem"> &
  Pick<AdminPorts, "backup"> & {
    /** Where calls that change something are traced; `null` = nowhere. */
    traces: { take(spans: readonly Span[]): void } | null;
    /** Host names, besides addresses, that requests without a token may use. */
    names: ReadonlySet<string>;
  };

/** What routes are given: that, and what this application keeps. */
export type AppPorts = GivenPorts &
  PagePorts &
  Followed &
  Pick<ProbePorts, "scrapes"> & { links: LoginLinks; pages: ConsolePages };

export const PAGES: readonly AnyPage[] = [
  ...fleetPages,
  ...fleetActions,
  ...overviewPages,
  ...safetyActions,
  ...deploymentPages,
  ...deploymentActions,
  ...autoscalingPages,
  ...referencePages,
];

/** The API, in the order of `docs/api.md`. */
export const ROUTES: readonly Route<AppPorts>[] = [
  ...agentRoutes,
  ...nodeRoutes,
  ...poolRoutes,
  ...poolSizeRoutes,
  ...agentPoolRoutes,
  ...costRoutes,
  ...safetyRoutes,
  ...otherFleetRoutes,
  ...slurmRoutes,
  ...simulationRoutes,
  ...adminRoutes,
  ...historyRoutes,
  ...configRoutes,
  ...kubernetesRoutes,
  ...upgradeRoutes,
  ...tokenRoutes,
  ...linkRoutes,
  ...joinRoutes,
  ...auditRoutes,
  ...consoleKubernetesRoutes,
  ...logRoutes,
  ...consoleNodeRoutes,
  ...allocationRoutes,
  ...queueRoutes,
  ...hpaEventRoutes,
  ...pipelineRoutes,
  ...workflowRoutes,
  ...restPoolRoutes,
  ...openApiRoutes,
  ...probeRoutes,
  ...assetRoutes,
  ...installRoutes,
];

/** All routes, with those of these pages. */
export const withPages = (pages: readonly AnyPage[]): readonly Route<AppPorts>[] => [
  ...ROUTES,
  ...loginRoutes,
  ...pageRoutes(pages),
];

export function partsOf({ at }: Pick<Route, "at">): { method: string; path: string } {
  const [method = "", path = ""] = at.split(" ");
  return { method, path };
}

type Entry = { route: Route<AppPorts>; path: string };

/** By method and number of parts of the path. */
const INDEX: ReadonlyMap<string, readonly Entry[]> = Map.groupBy(
  withPages(PAGES).map((route) => ({ route, ...partsOf(route) })),
  ({ method, path }) => `${method} ${path.split("/").length}`,
);

/** The route of a call, as the application finds it; `null` = none. */
export function findRoute(method: string, path: string): Route<AppPorts> | null {
  const own = path.startsWith(`${V1_ALIAS}/`) ? path.slice("/api".length) : path;
  const asked = method === "HEAD" ? "GET" : method;
  const entries = INDEX.get(`${asked} ${own.split("/").length}`) ?? [];
  return entries.find((one) => matchPath(one.path, own) !== null)?.route ?? null;
}

/** What a call did, for rows of the audit that do not say it. */
export function actOfCall(method: string, path: string): Act {
  return actOf(method, findRoute(method, path)?.act);
}
