/** The generated pages: where each lies, and what makes it. */
import { formatApi } from "./api.ts";
import { formatCli } from "./cli.ts";
import { formatConfiguration } from "./configuration.ts";
import { formatDecisions } from "./decisions.ts";
import { formatEvents } from "./events.ts";
import { formatMetrics } from "./metrics.ts";
import { formatScenario } from "./scenario.ts";
import { formatNodeFile } from "./virtual-nodes.ts";

export const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  "docs/configuration.md": formatConfiguration,
  "docs/scenario.md": formatScenario,
  "docs/cli.md": formatCli,
  "docs/metrics.md": formatMetrics,
  "docs/events.md": formatEvents,
  "docs/api.md": formatApi,
  "docs/decisions/README.md": formatDecisions,
  "deploy/helm/virtual-nodes/files/node.json": formatNodeFile,
};
