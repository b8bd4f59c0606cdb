/**
 * What the agent knows about its node, in a file for local programs: `slurm-healthcheck` judges it
 * without the driver, the network or the agent's process. The file's time of change tells that the
 * agent lives.
 */
import * as v from "valibot";
import { Finding } from "./finding.ts";
import { LIMIT } from "./limit.ts";
import { count } from "./number.ts";
import { VERDICTS } from "./policy.ts";

/** In the agent's `--spool` folder, which a pod shares with its machine; a socket would not be. */
export const LAST_VERDICT_FILE = "verdict.json";

export const LastVerdict = v.object({
  version: v.literal(1),
  /** Of another boot, it says nothing about this one. */
  boot_id: v.string(),
  simulated: v.boolean(),
  /** What the conditions of a policy may ask about the node. */
  node: v.object({
    id: v.string(),
    pool: v.string(),
    labels: v.record(v.string(), v.string()),
    gpu_count: count,
    driver_version: v.string(),
  }),
  /** The control plane's verdict; `null` = it has not answered for a while, or does not know. */
  heard: v.nullable(v.picklist(VERDICTS)),
  /** The last full check, as in `Check`. */
  conclusive: v.boolean(),
  expected_gpus: v.nullable(count),
  present_gpus: count,
  active: v.array(v.string()),
  /** Evidence of this boot, oldest first, that the control plane has not judged as harmless. */
  findings: v.pipe(v.array(Finding), v.maxLength(LIMIT.heldFindingsMax)),
});
export type LastVerdict = v.InferOutput<typeof LastVerdict>;
