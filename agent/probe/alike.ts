/**
 * Reports GPUs that cannot be told apart, and a node whose GPUs are not of one model. A baseboard
 * of linked GPUs never mixes models; a workstation with a card for its display does.
 */
import type { NvmlGpuCheck } from "../port/reading.ts";
import { modelOf } from "./model.ts";
import { type Condition, isLost, isUnknown, isUnopened, onNode, wholeNode } from "./probe.ts";
import type { Probe } from "./probe.ts";

export const alikeProbe: Probe = {
  name: "alike",
  kinds: [],
  look({ gpus }) {
    const named = gpus.filter((gpu) => !isLost(gpu) && !isUnopened(gpu) && !isUnknown(gpu.uuid));
    const outcome = named.length === 0 ? "skipped" : "ok";
    return wholeNode([...findDuplicates(named), ...findMixed(named)], null, outcome);
  },
};

/** Readings of two GPUs with one name would be those of the last one. */
function findDuplicates(gpus: readonly NvmlGpuCheck[]): Condition[] {
  const groups = [...Map.groupBy(gpus, ({ uuid }) => uuid)].filter(([, same]) => same.length > 1);
  if (groups.length === 0) return [];
  const said = groups.map(([uuid, same]) => `GPU ${indicesOf(same)} (${uuid})`).join(", ");
  const message = `several GPUs report one UUID: ${said}`;
  const doubled = { kind: "driver", reason: "duplicate_uuid", severity: "warning" } as const;
  return [onNode({ ...doubled, message, level: groups.length })];
}

const indicesOf = (gpus: readonly NvmlGpuCheck[]): string =>
  gpus.map(({ index }) => index).join(", ");

function findMixed(gpus: readonly NvmlGpuCheck[]): Condition[] {
  const models = [...new Set(gpus.map(({ name }) => name))].sort();
  if (models.length < 2) return [];
  const isBoard = models.some((name) => (modelOf(name)?.links ?? 0) > 0);
  return [
    onNode({
      ...{ kind: "host", reason: "mixed_models", severity: isBoard ? "warning" : "info" },
      message: `GPUs of several models: ${models.join(", ")}`,
      metrics: { models: models.length, board: isBoard },
      level: models.length,
    }),
  ];
}
