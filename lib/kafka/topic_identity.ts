/**
 * Whether a topic is still the one that it was: a topic that was deleted and created again has the same
 * name and another id, and kafkajs does not notice.
 *
 * @module
 */

import type { ClusterClient } from "./cluster.ts";
import type { TopicDescription } from "./cluster_answers.ts";

export class TopicIdentity {
  readonly #cluster: ClusterClient;
  readonly #topic: string;
  #running: Promise<TopicDescription | undefined> | undefined;
  #following: Promise<TopicDescription | undefined> | undefined;

  constructor(cluster: ClusterClient, topic: string) {
    this.#cluster = cluster;
    this.#topic = topic;
  }

  /**
   * The topic as the cluster has it at some time after this call, or undefined where it is gone. Callers
   * that ask while a question is under way share the next one: an answer to a question from before the
   * call could be older than the records that it is to confirm.
   */
  ask(): Promise<TopicDescription | undefined> {
    if (this.#running === undefined) return this.#start();
    const start = () => {
      this.#following = undefined;
      return this.#start();
    };
    this.#following ??= this.#running.then(start, start);
    return this.#following;
  }

  #start(): Promise<TopicDescription | undefined> {
    const question = this.#cluster.findTopic(this.#topic).finally(() => {
      if (this.#running === question) this.#running = undefined;
    });
    this.#running = question;
    return question;
  }
}
