/** What may be wrong with a failed pipeline, from its failed stages. Pure. */
import type { Suggestion } from "../../../schema/console/cluster.ts";
import type { PipelineReport, PipelineStatus } from "../../../schema/console/pipeline.ts";

const TEST: Suggestion = {
  cause: "A test fails.",
  resolution: "Read the test results of the stage, and run the same tests at that commit.",
};
const BUILD: Suggestion = {
  cause: "The build breaks: a compiler error, or a dependency that cannot be fetched.",
  resolution: "Read the log of the stage from its first error on.",
};
const DEPLOY: Suggestion = {
  cause: "The deployment is refused or does not become ready.",
  resolution:
    "Compare the deployment's configuration with the last one that worked, and look at the pods " +
    "and Flux objects on this page.",
};

const KINDS: readonly { about: RegExp; suggestion: Suggestion }[] = [
  { about: /test|lint|check|spec|e2e/i, suggestion: TEST },
  { about: /build|compile|image|docker|package|bundle|install/i, suggestion: BUILD },
  { about: /deploy|release|rollout|helm|flux|publish|promote/i, suggestion: DEPLOY },
];

const ENDED: readonly PipelineStatus[] = ["success", "failed", "skipped"];

export const isEnded = ({ status }: Pick<PipelineReport, "status">): boolean =>
  ENDED.includes(status);

/** Those of the failed stages' kinds; all of them if no stage tells. */
export function suggestForPipeline({ status, stages }: PipelineReport): Suggestion[] {
  if (status !== "failed") return [];
  const failed = stages.filter((stage) => stage.status === "failed").map(({ name }) => name);
  const fitting = KINDS.filter(({ about }) => failed.some((name) => about.test(name)));
  return (fitting.length === 0 ? KINDS : fitting).map(({ suggestion }) => suggestion);
}
