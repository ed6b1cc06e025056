/**
 * The id that this tracker has in its consumer group, kept beside the journal. After a crash the group would
 * wait for the dead member until its session timeout is over; the next tracker on the folder, which has
 * the folder's lock and so knows that it is dead, leaves the group for it.
 *
 * @module
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

  /** Leaves the group for the member that died here, if one did. */
  async leaveForTheDead(cluster: ClusterClient): Promise<void> {
    const member = this.#read();
    if (member?.groupId !== this.#groupId) return;
    const hasLeft = await cluster.leaveGroup(member.groupId, member.memberId);
    if (hasLeft) this.#log.info("Left the group for the tracker that died here", { ...member });
    this.forget();
  }

  /** A file that cannot be written costs the next start some seconds, and nothing else. */
  remember(memberId: string): void {
    const member: Member = { groupId: this.#groupId, memberId };
    try {
      this.forget(); // writing in place would follow a symbolic link
      Deno.writeTextFileSync(this.#path, JSON.stringify(member), { createNew: true, mode: 0o600 });
    } catch (error) {
      this.#log.debug("The member id cannot be kept", { error });
    }
  }

  /** After leaving in order there is nobody to leave for. */
  forget(): void {
    try {
      Deno.removeSync(this.#path);
    } catch {
      // It is not there, or will be of no use.
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
