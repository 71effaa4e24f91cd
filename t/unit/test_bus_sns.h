
/*
 * Copyright (C) the ngx_http_comms_module authors
 *
 * Made by t/aws/sns-vectors.mjs; the npm package sns-validator agrees.
 */


#define SNS_CERTIFICATE                                                       \
    "-----BEGIN CERTIFICATE-----\nMIIDGzCC" \
    "AgOgAwIBAgIUUVrBFEyp3fAbqIvDTVtMK/YV" \
    "5YkwDQYJKoZIhvcNAQEL\nBQAwHDEaMBgGA1U" \
    "EAwwRc25zLmFtYXpvbmF3cy5jb20wIBcNMjY" \
    "xMTIyMjEzOTI3\nWhgPMjEyNjEwMjkyMTM5Mj" \
    "daMBwxGjAYBgNVBAMMEXNucy5hbWF6b25hd3" \
    "MuY29t\nMIIBIjANBgkqhkiG9w0BAQEFAAOCA" \
    "Q8AMIIBCgKCAQEArUlY5+dUCoUyP4CYjKoq\n" \
    "CIpssXVs88BNBTxMP8798W8xKv/t3fv+ZLab" \
    "7etC7csb+/iQdaYrLBYGGvqxS0Ww\n9mzG2ad" \
    "4QKlCkHkGF5PQMofgkkn2mt3INprzZoPt9CQ" \
    "BTWbGowXTgANAOQj8OapR\ngP0lx05ZDfkqGa" \
    "QsUgrTE3AGO18nE9mISdMlbucGmZuBCXJHhm" \
    "kStNasKAwHPglE\npAmpjy039azjI7wWvjROC" \
    "HlM9oPFbiRDIixqwACPCNyTwfVo99cRB9Hl5" \
    "Kveg7Fj\n0tlP09eJ0ds8szkx5BBJ0kE43y8s" \
    "nt4Y0LmuF8GD1VAhXNRgEnN0dU0X4qLu1zT0" \
    "\n9QIDAQABo1MwUTAdBgNVHQ4EFgQU/PuyF2x" \
    "1aDqcH+iBG8jZZlUdFPswHwYDVR0j\nBBgwFo" \
    "AU/PuyF2x1aDqcH+iBG8jZZlUdFPswDwYDVR" \
    "0TAQH/BAUwAwEB/zANBgkq\nhkiG9w0BAQsFA" \
    "AOCAQEAVoaDs9gfCLR3LMfUy3HfGzfd6i5zt" \
    "Qd9lnXnzf316A38\ncCFo8mD3C2L3ri4xRkKn" \
    "xX9N8wm2kRONRyZUx9J+aLfI9eZPHnv+Rp2y" \
    "WtJExeTw\n6rypOlI8IYZ4kUQUpS1NctjF5yQ" \
    "qT8G+yVsJfGWCeLUJRYvQ4wTMmdNZRWB+usD" \
    "5\nEtJ5cAu52v/cwOF5lc3Li3tXn1dfpoCQYW" \
    "8yV0Ih0GDTe8QxDpLeaXg09Bu8Rnve\n0GTxf" \
    "6F9kaVx4TBMJokA5c1rh2p5a6hDImDWF99mJ" \
    "jRJC14pOmhxH6Nj6RLe8uKb\nnTsQHvEGfXr4" \
    "QtrxzH0A5Nsy4pnhh7c9e8dLdFf9ug==\n---" \
    "--END CERTIFICATE-----\n"

#define SNS_NOTIFICATION_1 \
    "{\"MessageId\":\"165545c9-2a5c-472c-8df" \
    "2-7ff2be2b3b1b\",\"TopicArn\":\"arn:aws:" \
    "sns:eu-west-1:123456789012:comms\",\"T" \
    "imestamp\":\"2026-11-22T11:45:32.789Z\"" \
    ",\"Type\":\"Notification\",\"Message\":\"hé" \
    "llo\\nworld \\\"x\\\"\",\"SignatureVersion\"" \
    ":\"1\",\"Signature\":\"U4w6LDlm85nMWuTB9i" \
    "KojOmyidmgGa3EiSxGz7SjZTv0yj1M7R3v6P" \
    "qz+uk98dBMkGD4LGSWuQ+zNSD/aFlp/8bgRs" \
    "M7fa86tiCOQeq9RanIjCjnv+sFl+CM82VHKq" \
    "7nJNCBoOd9YAyVUTFN+Blg9ADjhXytt7hnsf" \
    "EN8olEj4fGqHKBDSHQ0oHa/w5U3XvO5MXtw7" \
    "ok24v7pZ0pthno05yy54dCBXW96Y6LvjzH6j" \
    "PwfQYrlhU4gq8rWBnSvNq5zDrMqkbfF4+gl6" \
    "EPkB+CmOWFwLMEemFK6TkikmHFn7r5h2Ligu" \
    "D1UFMQyvPnBq8sg/u8iD0kvXRt4DfpwmjEOQ" \
    "==\",\"SigningCertURL\":\"https://sns.eu" \
    "-west-1.amazonaws.com/Simple-0123abc" \
    "d.pem\"}"

#define SNS_NOTIFICATION_2 \
    "{\"MessageId\":\"165545c9-2a5c-472c-8df" \
    "2-7ff2be2b3b1b\",\"TopicArn\":\"arn:aws:" \
    "sns:eu-west-1:123456789012:comms\",\"T" \
    "imestamp\":\"2026-11-22T11:45:32.789Z\"" \
    ",\"Type\":\"Notification\",\"Message\":\"hé" \
    "llo\\nworld \\\"x\\\"\",\"SignatureVersion\"" \
    ":\"2\",\"Signature\":\"N0Y1M0emmfK+UM0ti2" \
    "5RgNTwOqBxcmRZ87ZJ5+cBhu4knKrc2ks3xt" \
    "bVu/RYJNyH4YQ/TzrClzj/Op5rwCbQdCz4oO" \
    "gwUuyZKTIXxLgyvC96ZJVV9SEyxn6nLdO3J9" \
    "cHIzuAK519YHntTdLyfkLfrxoG0ag1XC5SrZ" \
    "dMI97s7Yr9xGrFpQIqvRuzqAQtJsfe6nTdGC" \
    "pRfcEMojKQ4PzYH7l5nGu+m8u+vewGgTM/P3" \
    "MISSMaP+xcXDxO8Nl5YTqyNFd8HTBOT3EeNg" \
    "P4EHYxbW6MHmgEq+sNK48NpiAsywme7R8gtm" \
    "MI2eUZf9kuOz5D4Pu0kz+apUkbYHH5yH5Fkw" \
    "==\",\"SigningCertURL\":\"https://sns.eu" \
    "-west-1.amazonaws.com/Simple-0123abc" \
    "d.pem\"}"

#define SNS_WITH_SUBJECT \
    "{\"MessageId\":\"165545c9-2a5c-472c-8df" \
    "2-7ff2be2b3b1b\",\"TopicArn\":\"arn:aws:" \
    "sns:eu-west-1:123456789012:comms\",\"T" \
    "imestamp\":\"2026-11-22T11:45:32.789Z\"" \
    ",\"Type\":\"Notification\",\"Message\":\"hé" \
    "llo\\nworld \\\"x\\\"\",\"Subject\":\"a subje" \
    "ct\",\"SignatureVersion\":\"2\",\"Signatur" \
    "e\":\"fMifCCGnnhmzXJRa8Awn8kUBIv1AbO0w" \
    "cJJ/pQlFfWneBVeF2O7C3D47RA9MQdte8AVu" \
    "P6e32lI0NAp1Z6M5vXky5N87TXDnJbKftH4y" \
    "3SL980EK+20QY9jHP+t/KG2AJb0dix8GJ0As" \
    "RnBBqTWJ0t5ZZ1XURQ3xIe789pZZXKhxs6pZ" \
    "MTTQLm8BfLEkyCCckM3FEIU5ryx3HQtwaPFs" \
    "vU6WrKt/41z+zyYylMO00eJCYt/iQDaoYo5b" \
    "tGiQvpZELn3KFhiT8tr8low4mz0IzHKAyHhg" \
    "xl1KxaB6jkrXBTuSTdeAsS30+xapUEGwKb51" \
    "QMGfPO73T7B/9dh4FNKqSg==\",\"SigningCe" \
    "rtURL\":\"https://sns.eu-west-1.amazon" \
    "aws.com/Simple-0123abcd.pem\"}"

#define SNS_CONFIRMATION \
    "{\"MessageId\":\"165545c9-2a5c-472c-8df" \
    "2-7ff2be2b3b1b\",\"TopicArn\":\"arn:aws:" \
    "sns:eu-west-1:123456789012:comms\",\"T" \
    "imestamp\":\"2026-11-22T11:45:32.789Z\"" \
    ",\"Type\":\"SubscriptionConfirmation\",\"" \
    "Message\":\"You have chosen to subscri" \
    "be\",\"Token\":\"2336412f37\",\"SubscribeU" \
    "RL\":\"https://sns.eu-west-1.amazonaws" \
    ".com/?Action=Confirm\",\"SignatureVers" \
    "ion\":\"2\",\"Signature\":\"HduQGHOoIgP+0z" \
    "/s5lrgF3HhfwYXJMGTSw/+xTR+rj0GoeEDly" \
    "GUhz5IYqktkCK17GFEwE+y9iJzcxK3FF817v" \
    "IcLg7k46BpZLerZ09okTCTJs/ctmTKloAUrM" \
    "7SLdQmyYo+j4but0eh1rdCqKjhChaQ3L2rZG" \
    "MlOUvEFQXhtJku3Xa2jT9AwRJplF02iHAX9H" \
    "TW3d42exFL2Zm9+AhURDa3To4eS8k+I/mL8/" \
    "yDfUvs+1BWU3nsutqc8P6Ye1jEHZ0YfcGae1" \
    "yeqNBYYsgwVCVxkR0Hzn42M9FzY+zzLBRyZC" \
    "JU/YYjCeZQHPD1wL0JMNG5HTHB+aBl1u2V4V" \
    "WyWQ==\",\"SigningCertURL\":\"https://sn" \
    "s.eu-west-1.amazonaws.com/Simple-012" \
    "3abcd.pem\"}"

#define SNS_GOODBYE \
    "{\"MessageId\":\"165545c9-2a5c-472c-8df" \
    "2-7ff2be2b3b1b\",\"TopicArn\":\"arn:aws:" \
    "sns:eu-west-1:123456789012:comms\",\"T" \
    "imestamp\":\"2026-11-22T11:45:32.789Z\"" \
    ",\"Type\":\"UnsubscribeConfirmation\",\"M" \
    "essage\":\"You have chosen to subscrib" \
    "e\",\"Token\":\"2336412f37\",\"SubscribeUR" \
    "L\":\"https://sns.eu-west-1.amazonaws." \
    "com/?Action=Confirm\",\"SignatureVersi" \
    "on\":\"2\",\"Signature\":\"BQbffNxgFA0mdWa" \
    "f4VPeb2ECa+3+AVNUaJPCZbNVHS+ZjIz5vwl" \
    "sMs/1uNJfKrZty+eOmep4cOM2bl+UFE+SsI7" \
    "bNOh5wlEHeilyECEj/a1aZDj9CJlZhKfK5pa" \
    "uzzuwDZpnjoplkQ55mxvNqkg+1eI102Qaako" \
    "+8i1TdXW+x+vUlgZ8ykl6XrUMD/OoUFP/Wo/" \
    "iJNF+tV1tpLqnL1kI5Lxl12iU+f7NxOCXoOF" \
    "EMGRCrbdQ75CRLh07VvHOLJbsuyzb/0nyAuF" \
    "FxdX3AIaMOpxoU9/2vVfEQUxk59V/bWx8J5w" \
    "QOS9UQZLyXhgqu4KuNkd9qh5WXD6H39NvBJD" \
    "s6g==\",\"SigningCertURL\":\"https://sns" \
    ".eu-west-1.amazonaws.com/Simple-0123" \
    "abcd.pem\"}"
