/** Makes the sink that the section `slurm` of the configuration describes. */
import type { SlurmConfig } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { SlurmAnswer, SlurmClient } from "../core/slurm/client.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import { openCliClient } from "./cli.ts";
import { type CountCall, countCalls } from "./counting.ts";
import { openRestCall } from "./rest-call.ts";
import { openRestClient } from "./rest.ts";
import { Slurm } from "./slurm.ts";

export type SlurmPorts = {
  clock: Clock;
  log: Log;
  /** Of this process: the commands find their `PATH` and `SLURM_CONF` there. */
  env: Readonly<Record<string, string>>;
  count: CountCall;
};

export type SlurmPlace = Pick<
  SlurmConfig,
  "transport" | "rest" | "tokenFile" | "user" | "commandDir" | "conf" | "timeoutMs"
>;

export function openSlurm(
  config: SlurmPlace & Pick<SlurmConfig, "pollIntervalMs">,
  ports: SlurmPorts,
): SlurmSink {
  const { clock, log } = ports;
  const client = countCalls(openSlurmClient(config, ports), ports.count);
  return new Slurm({ client, clock, log, pollMs: config.pollIntervalMs });
}

/** Old versions of slurmrestd only read nodes: their writes go through the commands beside it. */
export function openSlurmClient(
  { transport, rest, tokenFile, user, commandDir, conf, timeoutMs }: SlurmPlace,
  { clock, env }: Pick<SlurmPorts, "clock" | "env">,
): SlurmClient {
  const commands = openCliClient({ commandDir, conf, env, timeoutMs, clock });
  if (transport === "cli" || (transport === "auto" && rest === null)) return commands;
  if (rest === null) return unusable("slurm.transport is `rest`, and slurm.rest has no address");
  const call = openRestCall({ address: rest, tokenFile, user }, clock, timeoutMs);
  return openRestClient({ call, beside: commands });
}

/** A mistake of the configuration is dark with its reason, as an absent controller is. */
function unusable(message: string): SlurmClient {
  const refuse = async (): Promise<SlurmAnswer<never>> => ({ kind: "refused", message });
  return {
    describe: () => message,
    ...{ nodes: refuse, jobs: refuse, reservations: refuse, update: refuse, remove: refuse },
    ...{ requeue: refuse, signal: refuse },
  };
}
