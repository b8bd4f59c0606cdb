/** The definition of AgentPool as YAML, for `kubectl apply -f -` and for the chart. Pure. */
import { stringify } from "yaml";
import { AGENT_POOL_CRD } from "./crd.ts";

export const formatDefinition = (): string => stringify(AGENT_POOL_CRD, { lineWidth: 100 });
