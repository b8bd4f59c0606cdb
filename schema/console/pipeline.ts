/** Runs of CI/CD pipelines as a build server reports them to `POST /api/pipelines`. */
import * as v from "valibot";
import { InstantText } from "../instant.ts";
import { amount, instant } from "../number.ts";
import type { Suggestion } from "./cluster.ts";

export const PIPELINE_STATUSES = ["success", "running", "failed", "pending", "skipped"] as const;
export type PipelineStatus = (typeof PIPELINE_STATUSES)[number];

const STAGES_MAX = 100;

const line = (max: number) => v.pipe(v.string(), v.maxLength(max));
const name = v.pipe(line(200), v.minLength(1));
const time = v.pipe(line(40), InstantText);
const status = v.picklist(PIPELINE_STATUSES, `expected ${PIPELINE_STATUSES.join(", ")}`);

/** Other fields are ignored: build servers add their own. */
export const PipelineReport = v.object({
  id: name,
  name,
  status,
  branch: line(255),
  commit: line(64),
  commitMessage: line(4_096),
  author: line(255),
  startTime: time,
  endTime: v.nullish(time, null),
  stages: v.pipe(
    v.array(
      v.object({
        name,
        status,
        /** Seconds. */
        duration: amount,
        error: v.nullish(line(8_192), null),
      }),
    ),
    v.maxLength(STAGES_MAX),
  ),
});
export type PipelineReport = v.InferOutput<typeof PipelineReport>;

/** A row of the store. */
export const PipelineRow = v.object({ report: PipelineReport, receivedAt: instant });
export type PipelineRow = v.InferOutput<typeof PipelineRow>;

/** A row of `GET /api/pipelines`. */
export type Pipeline = PipelineReport & { receivedAt: string; suggestions: Suggestion[] };
