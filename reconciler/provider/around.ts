/**
 * Wraps the calls of a provider, for counters and faults; everything else passes through.
 */
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  HostKeysAnswer,
  ListAnswer,
  OffersAnswer,
  Provider,
  QuotaAnswer,
  RebootAnswer,
  StrangersAnswer,
  TerminateAnswer,
} from "../core/provider.ts";
import type { InstanceId } from "../../schema/id.ts";

export type ProviderCall =
  | { op: "create"; fence: Fence; request: CreateRequest }
  | { op: "terminate" | "reboot"; fence: Fence; instanceId: InstanceId }
  | { op: "list" | "strangers" | "offers" | "quota" }
  | { op: "host_keys"; instanceId: InstanceId };

export type ProviderAnswer =
  | CreateAnswer
  | TerminateAnswer
  | RebootAnswer
  | ListAnswer
  | OffersAnswer
  | StrangersAnswer
  | HostKeysAnswer
  | QuotaAnswer;

export function aroundProvider(
  provider: Provider,
  around: <A extends ProviderAnswer>(call: ProviderCall, next: () => Promise<A>) => Promise<A>,
): Provider {
  return {
    name: provider.name,
    type: provider.type,
    class: provider.class,
    settleMs: provider.settleMs,
    bringsAgent: provider.bringsAgent,
    canReboot: provider.canReboot,
    trouble: () => provider.trouble(),
    reach: () => provider.reach(),
    offers: (places) => around({ op: "offers" }, () => provider.offers(places)),
    hostKeys: (instanceId) =>
      around({ op: "host_keys", instanceId }, () => provider.hostKeys(instanceId)),
    quota: (places) => around({ op: "quota" }, () => provider.quota(places)),
    inspect: (places) => provider.inspect(places),
    create: (request, fence, credential) =>
      around({ op: "create", fence, request }, () => provider.create(request, fence, credential)),
    terminate: (instanceId, fence) =>
      around({ op: "terminate", fence, instanceId }, () => provider.terminate(instanceId, fence)),
    reboot: (instanceId, fence) =>
      around({ op: "reboot", fence, instanceId }, () => provider.reboot(instanceId, fence)),
    list: () => around({ op: "list" }, () => provider.list()),
    strangers: (pools) => around({ op: "strangers" }, () => provider.strangers(pools)),
    close: () => provider.close(),
  };
}
