/**
 * Names of the settings of Kafka's Java clients and of librdkafka.
 */

import { editDistance } from "../edit_distance.ts";

/** Settings of the producer, consumer, and admin client of Kafka 4.3, as listed by their `configNames()`. */
const JAVA_CLIENT_SETTINGS = `
  acks allow.auto.create.topics auto.commit.interval.ms auto.offset.reset batch.size
  bootstrap.controllers bootstrap.servers buffer.memory check.crcs client.dns.lookup client.id
  client.rack compression.gzip.level compression.lz4.level compression.type
  compression.zstd.level config.providers connections.max.idle.ms default.api.timeout.ms
  delivery.timeout.ms enable.auto.commit enable.idempotence enable.metrics.push
  exclude.internal.topics fetch.max.bytes fetch.max.wait.ms fetch.min.bytes group.id
  group.instance.id group.protocol group.remote.assignor heartbeat.interval.ms
  interceptor.classes internal.throw.on.fetch.stable.offset.unsupported isolation.level
  key.deserializer key.serializer linger.ms max.block.ms max.in.flight.requests.per.connection
  max.partition.fetch.bytes max.poll.interval.ms max.poll.records max.request.size
  metadata.max.age.ms metadata.max.idle.ms metadata.recovery.rebootstrap.trigger.ms
  metadata.recovery.strategy metric.reporters metrics.num.samples metrics.recording.level
  metrics.sample.window.ms partition.assignment.strategy
  partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms partitioner.class
  partitioner.ignore.keys receive.buffer.bytes reconnect.backoff.max.ms reconnect.backoff.ms
  request.timeout.ms retries retry.backoff.max.ms retry.backoff.ms
  sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.kinit.cmd
  sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name
  sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
  sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms
  sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds
  sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
  sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms
  sasl.mechanism sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
  sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
  sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
  sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
  sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
  sasl.oauthbearer.assertion.template.file sasl.oauthbearer.client.credentials.client.id
  sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.clock.skew.seconds
  sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
  sasl.oauthbearer.header.urlencode sasl.oauthbearer.jwks.endpoint.refresh.ms
  sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms
  sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url
  sasl.oauthbearer.jwt.retriever.class sasl.oauthbearer.jwt.validator.class
  sasl.oauthbearer.scope sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name
  sasl.oauthbearer.token.endpoint.url security.protocol security.providers send.buffer.bytes
  session.timeout.ms share.acknowledgement.mode share.acquire.mode
  socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms ssl.cipher.suites
  ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class
  ssl.key.password ssl.keymanager.algorithm ssl.keystore.certificate.chain ssl.keystore.key
  ssl.keystore.location ssl.keystore.password ssl.keystore.type ssl.protocol ssl.provider
  ssl.secure.random.implementation ssl.trustmanager.algorithm ssl.truststore.certificates
  ssl.truststore.location ssl.truststore.password ssl.truststore.type transaction.timeout.ms
  transaction.two.phase.commit.enable transactional.id value.deserializer value.serializer
`.trim().split(/\s+/);

/** librdkafka's security settings, which have other names in Java. */
const LIBRDKAFKA_SECURITY_SETTINGS = `
  sasl.mechanisms sasl.username sasl.password sasl.kerberos.principal sasl.kerberos.keytab
  sasl.oauthbearer.config sasl.oauthbearer.method sasl.oauthbearer.client.id
  sasl.oauthbearer.client.secret ssl.ca.location ssl.ca.pem ssl.ca.certificate.stores
  ssl.certificate.location ssl.certificate.pem ssl.key.location ssl.key.pem ssl.curves.list
  ssl.sigalgs.list ssl.crl.location ssl.engine.location ssl.engine.id ssl.providers
  enable.ssl.certificate.verification enable.sasl.oauthbearer.unsecure.jwt
`.trim().split(/\s+/);

/** Other settings of librdkafka, used by `kcat` and most non-Java clients. */
const LIBRDKAFKA_SETTINGS = `
  api.version.fallback.ms api.version.request api.version.request.timeout.ms auto.commit.enable
  batch.num.messages broker.address.family broker.address.ttl
  broker.version.fallback builtin.features compression.codec compression.level
  consume.callback.max.messages coordinator.query.interval.ms debug delivery.report.only.error
  enable.auto.offset.store enable.gapless.guarantee enable.partition.eof enable.random.seed
  fetch.error.backoff.ms fetch.message.max.bytes fetch.queue.backoff.ms fetch.wait.max.ms
  group.protocol.type internal.termination.signal log.connection.close log.queue log.thread.name
  log_level max.in.flight message.copy.max.bytes message.max.bytes message.send.max.retries
  message.timeout.ms metadata.broker.list metadata.request.timeout.ms offset.store.method
  offset.store.path offset.store.sync.interval.ms partitioner plugin.library.paths
  produce.offset.report queue.buffering.backpressure.threshold queue.buffering.max.kbytes
  queue.buffering.max.messages queue.buffering.max.ms queued.max.messages.kbytes
  queued.min.messages queuing.strategy receive.message.max.bytes reconnect.backoff.jitter.ms
  request.required.acks socket.blocking.max.ms socket.keepalive.enable socket.max.fails
  socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms
  statistics.interval.ms sticky.partitioning.linger.ms topic.blacklist
  topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
  topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms
  topic.metadata.refresh.sparse
`.trim().split(/\s+/);

/** Settings that this program uses. The last four are our own names, set by environment variables. */
const APPLIED_SETTINGS: ReadonlySet<string> = new Set([
  "bootstrap.servers",
  "client.id",
  "security.protocol",
  "sasl.mechanism",
  "sasl.jaas.config",
  "ssl.truststore.location",
  "ssl.truststore.certificates",
  "ssl.truststore.type",
  "ssl.keystore.location",
  "ssl.keystore.certificate.chain",
  "ssl.keystore.key",
  "ssl.keystore.type",
  "ssl.key.password",
  "ssl.endpoint.identification.algorithm",
  "username",
  "password",
  "certificate.location",
  "key.location",
]);

const KNOWN_SETTINGS: ReadonlySet<string> = new Set([
  ...JAVA_CLIENT_SETTINGS,
  ...LIBRDKAFKA_SECURITY_SETTINGS,
  ...LIBRDKAFKA_SETTINGS,
  ...APPLIED_SETTINGS,
]);
const FOREIGN_SETTINGS: ReadonlySet<string> = new Set(
  LIBRDKAFKA_SECURITY_SETTINGS.filter((name) => !JAVA_CLIENT_SETTINGS.includes(name)),
);

const SECURITY_WORD =
  /secur|protocol|sasl|ssl|tls|jaas|scram|oauth|kerberos|mechanis|trust_?store|key_?store|certif|passw|user_?name/i;
/** Maximum edit distance between a misspelled name and the setting that was meant. */
const MISSPELLING_MAX = 2;

export function isApplied(name: string): boolean {
  return APPLIED_SETTINGS.has(name);
}

/** Reports whether a Kafka client has a setting with this name. Other names can be secrets and must not be logged. */
export function isKnown(name: string): boolean {
  return KNOWN_SETTINGS.has(name);
}

/** Reports whether the name is librdkafka's, or has a prefix (`producer.sasl.mechanism`). */
export function isForeign(name: string): boolean {
  return FOREIGN_SETTINGS.has(name) ||
    [...name.matchAll(/\./g)].some(({ index }) => KNOWN_SETTINGS.has(name.slice(index + 1)));
}

/** Reports whether the name, known or not, looks like a security setting. */
export function isAboutSecurity(name: string): boolean {
  return SECURITY_WORD.test(name) || SECURITY_WORD.test(meantSetting(name) ?? "");
}

/** Reports whether the name looks like `security.protocol`, or like that name joined to its value. */
export function isMeantForProtocol(name: string): boolean {
  return meantSetting(name) === "security.protocol" || letters(name).includes("securityprotocol");
}

/** Returns the known setting of which the name is a misspelling. */
export function meantSetting(name: string): string | undefined {
  // Settings that this program uses come first.
  const candidates = [...APPLIED_SETTINGS, ...KNOWN_SETTINGS];
  return candidates.find((known) => letters(known) === letters(name)) ??
    candidates.find((known) => isMisspelled(letters(name), letters(known)));
}

function isMisspelled(name: string, known: string): boolean {
  const distanceMax = Math.min(MISSPELLING_MAX, Math.floor(known.length / 4));
  return Math.abs(name.length - known.length) <= distanceMax &&
    editDistance(name, known) <= distanceMax;
}

function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, "");
}
