/**
 * Stores the tracker's member id in its consumer group beside the journal. After a crash the group would wait for the
 * dead member until its session times out. The next tracker holds the folder's lock, so it knows that the member is
 * dead, and removes it from the group.
 */

import { join } from "node:path";
import type { ClusterClient } from "../kafka/cluster.ts";
import type { Logger } from "../log.ts";

const NAME = "tracker.member";

interface Member {
  readonly groupId: string;
  readonly memberId: string;
}

export class MemberFile {
  readonly #path: string;
  readonly #groupId: string;
  readonly #log: Logger;

  constructor({ logs, groupId, log }: { logs: string; groupId: string; log: Logger }) {
    this.#path = join(logs, NAME);
    this.#groupId = groupId;
    this.#log = log;
  }

  /** Removes the member of a tracker that crashed in this folder, if there is one, from the group. */
  async removeDeadMember(cluster: ClusterClient): Promise<void> {
    const member = this.#read();
    if (member?.groupId !== this.#groupId) return;
    const hasLeft = await cluster.leaveGroup(member.groupId, member.memberId);
    if (hasLeft) this.#log.info("Removed a crashed tracker from the group", { ...member });
    this.forget();
  }

  /** Stores the member id. A failure only makes the next start a few seconds slower. */
  remember(memberId: string): void {
    const member: Member = { groupId: this.#groupId, memberId };
    try {
      this.forget(); // writing in place would follow a symbolic link
      Deno.writeTextFileSync(this.#path, JSON.stringify(member), { createNew: true, mode: 0o600 });
    } catch (error) {
      this.#log.debug("The member id cannot be stored", { error });
    }
  }

  /** Removes the member id, after the member has left the group. */
  forget(): void {
    try {
      Deno.removeSync(this.#path);
    } catch {
      // It does not exist, or a stale id does no harm.
    }
  }

  #read(): Member | undefined {
    try {
      const { groupId, memberId } = JSON.parse(Deno.readTextFileSync(this.#path));
      return typeof groupId === "string" && typeof memberId === "string"
        ? { groupId, memberId }
        : undefined;
    } catch {
      return undefined;
    }
  }
}
