/**
 * Every command of `navarch`, in the order of the help.
 */
import type { Command } from "./command.ts";
import { agentPoolDescribe, agentPoolGet, agentPoolList } from "./command/agentpool.ts";
import { allocate } from "./command/allocate.ts";
import { audit } from "./command/audit.ts";
import { backup } from "./command/backup.ts";
import { bootstrap } from "./command/bootstrap.ts";
import { claimCreate, claimGet, claimList, claimRelease } from "./command/claim.ts";
import { completionOf } from "./command/completion.ts";
import { configConvert } from "./command/config-convert.ts";
import { configDiff } from "./command/config-diff.ts";
import { configExplain } from "./command/config-explain.ts";
import { configInit } from "./command/config-init.ts";
import { configReload } from "./command/config-reload.ts";
import { configShow } from "./command/config-show.ts";
import { configStatus } from "./command/config-status.ts";
import { configValidate } from "./command/config-validate.ts";
import { controlPlane } from "./command/control-plane.ts";
import { cordon, uncordon } from "./command/cordon.ts";
import { cost } from "./command/cost.ts";
import { doctor } from "./command/doctor.ts";
import { doctorAgentPool } from "./command/doctor-agentpool.ts";
import { doctorKubernetes } from "./command/doctor-kubernetes.ts";
import { doctorProviders } from "./command/doctor-providers.ts";
import { doctorSlurm } from "./command/doctor-slurm.ts";
import { doctorStore } from "./command/doctor-store.ts";
import { drain } from "./command/drain.ts";
import { events } from "./command/events.ts";
import { explain } from "./command/explain.ts";
import { exporter } from "./command/exporter.ts";
import { freeze, unfreeze } from "./command/freeze.ts";
import { get } from "./command/get.ts";
import { helpOf } from "./command/help.ts";
import { instances } from "./command/instances.ts";
import { joinTokenCreate, joinTokenList, joinTokenRevoke } from "./command/join-token.ts";
import { list } from "./command/list.ts";
import { cleanupKubernetes } from "./command/cleanup-kubernetes.ts";
import { manifestsKubernetes } from "./command/manifests.ts";
import { manifestsAgentpool } from "./command/manifests-agentpool.ts";
import { manifestsConsole } from "./command/manifests-console.ts";
import { manifestsCrd } from "./command/manifests-crd.ts";
import { manifestsWorkflows } from "./command/manifests-workflows.ts";
import { plan } from "./command/plan.ts";
import { policyShow } from "./command/policy-show.ts";
import { policyTest } from "./command/policy-test.ts";
import { providerCheck } from "./command/provider-check.ts";
import { policyValidate } from "./command/policy-validate.ts";
import { poolHold, poolResume } from "./command/pool-hold.ts";
import { poolList } from "./command/pool-list.ts";
import { poolScale } from "./command/pool-scale.ts";
import { poolStatus } from "./command/pool-status.ts";
import { replace, terminate } from "./command/terminate.ts";
import { restore } from "./command/restore.ts";
import { safety } from "./command/safety.ts";
import { simulateInteractive } from "./command/simulate-interactive.ts";
import { simulateInject } from "./command/simulate-inject.ts";
import { simulateList } from "./command/simulate-list.ts";
import { simulateProviderFail } from "./command/simulate-provider-fail.ts";
import { simulateNodes } from "./command/simulate-nodes.ts";
import { simulateAgents } from "./command/simulate-agents.ts";
import { simulateReplay } from "./command/simulate-replay.ts";
import { simulateRun } from "./command/simulate-run.ts";
import { simulateRuns } from "./command/simulate-runs.ts";
import { simulateCancel } from "./command/simulate-cancel.ts";
import { simulateSubmit } from "./command/simulate-submit.ts";
import { simulateValidate } from "./command/simulate-validate.ts";
import { simulateWorkflow } from "./command/simulate-workflow.ts";
import { slurmDbInit } from "./command/slurm-db-init.ts";
import { slurmBench } from "./command/slurm-bench.ts";
import { slurmDeploy } from "./command/slurm-deploy.ts";
import { slurmScale } from "./command/slurm-scale.ts";
import { slurmHealthcheck } from "./command/slurm-healthcheck.ts";
import { slurmManifests } from "./command/slurm-manifests.ts";
import { slurmMungeCheck } from "./command/slurm-munge-check.ts";
import { slurmMungeKey } from "./command/slurm-munge-key.ts";
import { slurmRefs } from "./command/slurm-refs.ts";
import { slurmRender } from "./command/slurm-render.ts";
import { slurmResume, slurmResumeFail, slurmSuspend } from "./command/slurm-power.ts";
import { slurmVerify } from "./command/slurm-verify.ts";
import { supportDump } from "./command/support-dump.ts";
import { consoleCommand } from "./command/console.ts";
import { tokenCreate, tokenList, tokenRevoke, tokenRotate } from "./command/token.ts";
import { fleetAdopt, fleetIgnore, fleetList } from "./command/fleet.ts";
import { forget } from "./command/forget.ts";
import { forgive } from "./command/forgive.ts";
import { policyTrust } from "./command/policy-trust.ts";
import { upgradeAgents, upgradeStatus, upgradeStop } from "./command/upgrade.ts";
import { version } from "./command/version.ts";
import { watchNodes } from "./command/watch-nodes.ts";

/** The groups of the help. */
const GROUPS: Readonly<Record<string, readonly Command[]>> = {
  "Nodes and instances": [
    list,
    watchNodes,
    get,
    explain,
    events,
    instances,
    cordon,
    uncordon,
    drain,
    terminate,
    replace,
    bootstrap,
    forget,
    forgive,
  ],
  Pools: [poolList, poolStatus, poolScale, poolHold, poolResume],
  AgentPools: [
    ...[agentPoolList, agentPoolGet, agentPoolDescribe],
    ...[claimCreate, claimList, claimGet, claimRelease],
  ],
  Workloads: [allocate],
  Fleets: [fleetList, fleetAdopt, fleetIgnore],
  Safety: [plan, safety, cost, freeze, unfreeze, audit],
  "Control plane": [
    controlPlane,
    configInit,
    configExplain,
    configValidate,
    configShow,
    configDiff,
    configReload,
    configStatus,
    configConvert,
    backup,
    restore,
    doctor,
    doctorKubernetes,
    doctorAgentPool,
    doctorProviders,
    doctorSlurm,
    doctorStore,
    providerCheck,
    supportDump,
  ],
  "Health policy": [policyValidate, policyTest, policyShow, policyTrust],
  Agents: [upgradeAgents, upgradeStatus, upgradeStop],
  Access: [
    consoleCommand,
    tokenCreate,
    tokenList,
    tokenRevoke,
    tokenRotate,
    joinTokenCreate,
    joinTokenList,
    joinTokenRevoke,
  ],
  Kubernetes: [
    manifestsKubernetes,
    manifestsCrd,
    manifestsAgentpool,
    manifestsConsole,
    manifestsWorkflows,
    cleanupKubernetes,
    exporter,
  ],
  Slurm: [
    ...[slurmRender, slurmManifests, slurmRefs, slurmVerify, slurmDeploy, slurmScale],
    ...[slurmMungeKey, slurmMungeCheck, slurmDbInit],
    ...[slurmHealthcheck, slurmBench],
    ...[slurmResume, slurmSuspend, slurmResumeFail],
  ],
  Simulation: [
    simulateRun,
    simulateValidate,
    simulateInteractive,
    simulateList,
    simulateReplay,
    simulateAgents,
    simulateWorkflow,
    simulateInject,
    simulateProviderFail,
    simulateNodes,
    simulateSubmit,
    simulateRuns,
    simulateCancel,
  ],
  Other: [version],
};

const ALL: readonly Command[] = Object.entries(GROUPS).flatMap(([group, commands]) =>
  commands.map((command) => ({ ...command, group })),
);

const LISTED: readonly Command[] = [...ALL, completionOf(() => COMMANDS)];

export const COMMANDS: readonly Command[] = [...LISTED, helpOf(LISTED)];
