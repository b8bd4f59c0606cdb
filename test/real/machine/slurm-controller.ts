/**
 * A Slurm controller on a machine of a bed, of no fleet: nodes that it does not know take their
 * configuration from it and join as dynamic nodes. Static nodes are named with their addresses.
 */
import { until } from "../../fixture/plane/plane.ts";
import type { Machine } from "./machine.ts";

/** Their key is made when they are installed, so every machine of the image has the same one. */
export const PACKAGES = ["munge", "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins"];

const slurmConf = (address: string, nodes: readonly string[]): string => `ClusterName=bed
SlurmctldHost=ctl(${address})
SlurmctldParameters=enable_configless
MaxNodeCount=16
SlurmUser=slurm
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=1
AccountingStorageType=accounting_storage/none
${nodes.map((line) => `${line}\n`).join("")}PartitionName=gpu Nodes=ALL Default=YES State=UP
`;

const GRES = "AutoDetect=off\nName=gpu Type=h100 File=/dev/nvidia[0-7]\n";
// Slurm 22.05 reads cgroups of version 1 only unless it is told that it has to do with them itself.
const CGROUP = "CgroupPlugin=cgroup/v1\n";

/** `nodes` are lines of slurm.conf. */
export async function startController(ctl: Machine, nodes: readonly string[] = []): Promise<void> {
  await ctl.waitRunning();
  const files = { slurm: slurmConf(ctl.address, nodes), gres: GRES, cgroup: CGROUP };
  for (const [name, text] of Object.entries(files)) {
    await ctl.must(`cat >/etc/slurm/${name}.conf`, { input: text });
  }
  await ctl.must(`echo '${ctl.address} ctl' >>/etc/hosts && hostname ctl`);
  await ctl.must("systemctl restart munge slurmctld");
  await until("the controller answers", 30_000, async () =>
    (await ctl.run("timeout 3 scontrol ping")).stdout.includes("UP") ? true : null,
  );
}
