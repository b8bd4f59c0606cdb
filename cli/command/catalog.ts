/**
 * Every command of `navarch`, in the order of the help.
 */
import type { Command } from "../command.ts";
import { agentPoolDescribe, agentPoolGet, agentPoolList } from "./agentpool.ts";
import { allocate } from "./allocate.ts";
import { audit } from "./audit.ts";
import { backup } from "./backup.ts";
import { bootstrap } from "./bootstrap.ts";
import { claimCreate, claimGet, claimList, claimRelease } from "./claim.ts";
import { completionOf } from "./completion.ts";
import { configConvert } from "./config-convert.ts";
import { configDiff } from "./config-diff.ts";
import { configExplain } from "./config-explain.ts";
import { configInit } from "./config-init.ts";
import { configReload } from "./config-reload.ts";
import { configShow } from "./config-show.ts";
import { configStatus } from "./config-status.ts";
import { configValidate } from "./config-validate.ts";
import { controlPlane } from "./control-plane.ts";
import { cordon, uncordon } from "./cordon.ts";
import { cost } from "./cost.ts";
import { doctor } from "./doctor.ts";
import { doctorAgentPool } from "./doctor-agentpool.ts";
import { doctorKubernetes } from "./doctor-kubernetes.ts";
import { doctorProviders } from "./doctor-providers.ts";
import { doctorSlurm } from "./doctor-slurm.ts";
import { doctorStore } from "./doctor-store.ts";
import { drain } from "./drain.ts";
import { events } from "./events.ts";
import { explain } from "./explain.ts";
import { exporter } from "./exporter.ts";
import { freeze, unfreeze } from "./freeze.ts";
import { get } from "./get.ts";
import { helpOf } from "./help.ts";
import { instances } from "./instances.ts";
import { joinTokenCreate, joinTokenList, joinTokenRevoke } from "./join-token.ts";
import { list } from "./list.ts";
import { cleanupKubernetes } from "./cleanup-kubernetes.ts";
import { manifestsKubernetes } from "./manifests.ts";
import { manifestsAgentpool } from "./manifests-agentpool.ts";
import { manifestsConsole } from "./manifests-console.ts";
import { manifestsCrd } from "./manifests-crd.ts";
import { manifestsWorkflows } from "./manifests-workflows.ts";
import { plan } from "./plan.ts";
import { policyShow } from "./policy-show.ts";
import { policyTest } from "./policy-test.ts";
import { providerCheck } from "./provider-check.ts";
import { policyValidate } from "./policy-validate.ts";
import { poolHold, poolResume } from "./pool-hold.ts";
import { poolList } from "./pool-list.ts";
import { poolScale } from "./pool-scale.ts";
import { poolStatus } from "./pool-status.ts";
import { replace, terminate } from "./terminate.ts";
import { restore } from "./restore.ts";
import { safety } from "./safety.ts";
import { simulateInteractive } from "./simulate-interactive.ts";
import { simulateInject } from "./simulate-inject.ts";
import { simulateList } from "./simulate-list.ts";
import { simulateProviderFail } from "./simulate-provider-fail.ts";
import { simulateNodes } from "./simulate-nodes.ts";
import { simulateAgents } from "./simulate-agents.ts";
import { simulateReplay } from "./simulate-replay.ts";
import { simulateRun } from "./simulate-run.ts";
import { simulateRuns } from "./simulate-runs.ts";
import { simulateCancel } from "./simulate-cancel.ts";
import { simulateSubmit } from "./simulate-submit.ts";
import { simulateValidate } from "./simulate-validate.ts";
import { simulateWorkflow } from "./simulate-workflow.ts";
import { slurmDbInit } from "./slurm-db-init.ts";
import { slurmBench } from "./slurm-bench.ts";
import { slurmDeploy } from "./slurm-deploy.ts";
import { slurmScale } from "./slurm-scale.ts";
import { slurmHealthcheck } from "./slurm-healthcheck.ts";
import { slurmManifests } from "./slurm-manifests.ts";
import { slurmMungeCheck } from "./slurm-munge-check.ts";
import { slurmMungeKey } from "./slurm-munge-key.ts";
import { slurmRefs } from "./slurm-refs.ts";
import { slurmRender } from "./slurm-render.ts";
import { slurmResume, slurmResumeFail, slurmSuspend } from "./slurm-power.ts";
import { slurmVerify } from "./slurm-verify.ts";
import { supportDump } from "./support-dump.ts";
import { consoleCommand } from "./console.ts";
import { tokenCreate, tokenList, tokenRevoke, tokenRotate } from "./token.ts";
import { fleetAdopt, fleetIgnore, fleetList } from "./fleet.ts";
import { forget } from "./forget.ts";
import { forgive } from "./forgive.ts";
import { policyTrust } from "./policy-trust.ts";
import { upgradeAgents, upgradeStatus, upgradeStop } from "./upgrade.ts";
import { version } from "./version.ts";
import { watchNodes } from "./watch-nodes.ts";

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
