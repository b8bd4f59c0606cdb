/** The agent of a worker in the world in memory. Type. */
import type { AgentSight } from "../../../reconciler/core/agentpool/model.ts";

export type Agent = {
  /** UID of its pod. */
  uid: string;
  isAlive: boolean;
  isFatal: boolean;
  slots: number | null;
  /** Work that no claim stands for. */
  isBusy: boolean;
  /** It does not say whether it stops. */
  isMute: boolean;
  stop: AgentSight["stop"];
  ignored: readonly string[];
  /** When it was heard last, by this process; `null` = not. */
  heardAt: number | null;
};
