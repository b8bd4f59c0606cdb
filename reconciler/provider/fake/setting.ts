/**
 * Converts the checked settings of a `fake` provider into the cloud's terms. Pure.
 */
import { metaOf, type ValueOf } from "../../../schema/config/field.ts";
import { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { DEFAULT_TERMS } from "./world.ts";

export function readFakeSettings(name: string, settings: ProviderConfig["settings"]) {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  return {
    terms: {
      ...DEFAULT_TERMS,
      name,
      class: given.class ?? DEFAULT_TERMS.class,
      createMs: given.createDelayMs ?? DEFAULT_TERMS.createMs,
      bootMs: given.bootDelayMs ?? DEFAULT_TERMS.bootMs,
      terminateMs: given.terminateDelayMs ?? DEFAULT_TERMS.terminateMs,
      listLagMs: given.listLagMs ?? DEFAULT_TERMS.listLagMs,
      retentionMs: given.retentionMs ?? DEFAULT_TERMS.retentionMs,
      pricePerHour: given.pricePerHour ?? null,
    },
    settleMs: given.settleMs ?? null,
    gpuCount: given.gpuCount ?? metaOf(SETTINGS.gpu_count).default,
    gpuType: given.gpuType ?? null,
    agentPath: given.agentPath ?? null,
    faultsPath: given.faults ?? null,
    /** Delay of an agent's restart; `null`: never. */
    agentRestartMs: given.agentRestartMs ?? null,
  };
}
