<?php
/* State facts with PHP and its own streams: open a case, then hand it over to another body.
 *
 *   RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… php publish.php viriat PC-0001 grand-bourg
 *
 * Sending the same events again is safe: the same source, subject and id are the same fact. So whoever got no answer sends again.
 */
declare(strict_types=1);

const TRIES = 5;

/** Send a batch, all or nothing; wait and send again while the bus cannot take it. */
function send(array $events): array
{
    $url = (getenv('RELAIS_URL') ?: 'http://127.0.0.1:8400') . '/v1/events';
    $headers = [
        'Authorization: Bearer ' . getenv('RELAIS_TOKEN'),
        'Content-Type: application/cloudevents-batch+json',
        'Prefer: wait=20',
    ];
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => $headers,
        'content' => json_encode($events, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE),
        'ignore_errors' => true, // a problem is an answer too
        'follow_location' => 0, // the token goes nowhere else
        'timeout' => 60,
    ]]);
    for ($try = 1; $try <= TRIES; $try++) {
        $body = @file_get_contents($url, false, $context);
        if ($body === false) {
            sleep(1);
            continue;
        }
        $status = (int) explode(' ', $http_response_header[0])[1];
        if ($status === 429 || $status >= 500) {
            sleep(retry_after($http_response_header));
            continue;
        }
        $answer = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
        if ($status >= 300) {
            fwrite(STDERR, explain($answer));
            exit(1);
        }
        return $answer;
    }
    fwrite(STDERR, "the bus does not answer: send the same events later\n");
    exit(1);
}

/** Seconds that the bus asks to wait. */
function retry_after(array $headers): int
{
    foreach ($headers as $header) {
        if (preg_match('/^Retry-After:\s*(\d+)/i', $header, $found)) {
            return (int) $found[1];
        }
    }
    return 1;
}

/** What is to be mended, one line each. */
function explain(array $problem): string
{
    $lines = ["{$problem['title']}: {$problem['detail']}"];
    foreach ($problem['problems'] ?? [] as $flaw) {
        $index = $flaw['index'] ?? 0;
        $lines[] = "event $index, {$flaw['field']}: {$flaw['mend']} ({$flaw['code']})";
    }
    return implode("\n", $lines) . "\n";
}

[, $body, $number, $to] = $argv;
$today = (new DateTimeImmutable('now', new DateTimeZone('Europe/Paris')))->format('Y-m-d'); // a legal date is a local one
// The reference of a handoff is drawn by its sender, once, and kept: here it follows from the number.
$handoff = "handoff:$body:" . substr(hash('sha256', "$body/$number>$to"), 0, 32);
$shared = ['specversion' => '1.0', 'source' => "$body/example", 'subject' => "case:$body/$number"];
$opened = ['occurred_on' => $today, 'procedure' => 'urbanisme.pc-maison'];
$sent = ['occurred_on' => $today, 'handoff' => $handoff, 'to' => $to, 'kind' => 'transfer'];
$answer = send([
    $shared + ['type' => 'fr.relais.case.opened', 'id' => "$number-opened", 'data' => $opened],
    $shared + ['type' => 'fr.relais.handoff.sent', 'id' => "$number-sent-$to", 'data' => $sent],
]);
foreach ($answer['accepted'] as $receipt) {
    echo $receipt['id'], ' ', getenv('RELAIS_URL') ?: 'http://127.0.0.1:8400', $receipt['journey'], "\n";
}
