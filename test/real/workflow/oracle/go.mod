module navarch.test/oracle

go 1.24
